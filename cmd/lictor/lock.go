package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"lictor/cmd/lictor/lock"
)

// lockOptions are the flags of lock.
type lockOptions struct {
	limit     int
	name      string
	try       time.Duration
	timeout   time.Duration
	retries   int
	childCode bool
	passStdin bool
	shell     bool
	verbose   bool
}

// exitChild is the code for a child that has failed, where that was asked for.
const exitChild = 2

func newLock(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	var o lockOptions
	fs.IntVar(&o.limit, "n", 1, "How many may hold the lock at once, a `number` that all must agree on. More than one make it a semaphore.")
	fs.StringVar(&o.name, "name", "", "The `name` of the session. Default: one made from the command.")
	fs.DurationVar(&o.try, "try", 0, "Give up if the lock was not got within this `duration`; 0 waits for ever.")
	fs.DurationVar(&o.timeout, "timeout", 0, "The same as -try, a `duration`, in older scripts.")
	fs.IntVar(&o.retries, "monitor-retry", 3, "After this `number` of failures of the agent in a row, a second apart, the lock counts as lost.")
	fs.BoolVar(&o.childCode, "child-exit-code", false, "Exit with 2 if the command fails. Otherwise its failure is only reported.")
	fs.BoolVar(&o.passStdin, "pass-stdin", false, "Let the command read standard input.")
	fs.BoolVar(&o.shell, "shell", true, "Let a shell run the command: that of the environment variable SHELL, or /bin/sh.")
	fs.BoolVar(&o.verbose, "verbose", false, "Say on standard error what happens to the lock.")
	return func(ctx context.Context, args []string) error {
		if err := o.check(args); err != nil {
			return err
		}
		cn.stale = false // who holds a lock is the leader's to say
		cl, err := cn.client()
		if err != nil {
			return err
		}
		l := &locked{console: c, options: o, child: args[1:], config: lock.Config{Agent: cl,
			Prefix: strings.TrimPrefix(args[0], "/"), Limit: o.limit, Session: o.sessionName(args), Retries: o.retries}}
		return l.run(ctx)
	}
}

func (o *lockOptions) check(args []string) error {
	switch {
	case len(args) < 2:
		return usagef("Key prefix and child command must be specified")
	case strings.Trim(args[0], "/") == "":
		return usagef("Key prefix must not be empty")
	case o.limit <= 0:
		return usagef("Lock holder limit must be positive")
	case o.retries < 0:
		return usagef("Number for 'monitor-retry' must be >= 0")
	case o.try < 0 || o.timeout < 0:
		return usagef("Timeout must be positive")
	}
	if o.try == 0 {
		o.try = o.timeout
	}
	return nil
}

func (o *lockOptions) sessionName(args []string) string {
	if o.name != "" {
		return o.name
	}
	kind := "lock"
	if o.limit > 1 {
		kind = "semaphore"
	}
	return fmt.Sprintf("Consul %s for '%s' at '%s'", kind, strings.Join(args[1:], " "), args[0])
}

// locked runs a command while it holds a lock.
type locked struct {
	console *console
	options lockOptions
	child   []string
	config  lock.Config
}

func (l *locked) say(text string) {
	if l.options.verbose {
		l.console.warnf("%s\n", text)
	}
}

// releaseTime bounds what is done after the command has ended.
const releaseTime = 15 * time.Second

func (l *locked) run(ctx context.Context) error {
	held, err := l.acquire(ctx)
	if err != nil {
		return err
	}
	l.say("The lock is held, the command starts")
	result := l.runChild(held)
	lost := held.IsLost() // which Release makes it in any case

	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	if err := held.Release(ctx); err != nil {
		return errors.Join(result, failf("Lock release failed: %w", err))
	}
	if !lost {
		l.say("The lock is released")
	}
	return result
}

// acquire waits for the lock until a signal or the time that was set ends the wait.
func (l *locked) acquire(ctx context.Context) (*lock.Held, error) {
	ctx, stop := untilSignal(ctx, l.console.signals)
	defer stop()
	attempt, cancel := ctx, context.CancelFunc(func() {})
	if l.options.try > 0 {
		attempt, cancel = context.WithTimeout(ctx, l.options.try)
	}
	defer cancel()
	l.say("Waiting for the lock at " + l.config.Prefix)
	held, err := lock.Acquire(attempt, l.config)
	switch {
	case err == nil:
		return held, nil
	case ctx.Err() != nil:
		return nil, failf("Lock acquisition failed: interrupted")
	case errors.Is(attempt.Err(), context.DeadlineExceeded):
		return nil, failf("Lock acquisition failed: it was not free within %s: others hold it, or one who lost it did so less than a lock delay ago", l.options.try)
	default:
		return nil, failf("Lock acquisition failed: %w", err)
	}
}

// runChild runs the command. That it has failed is an error only where the flags say so; that it could not start, or has
// lost the lock, always is.
func (l *locked) runChild(held *lock.Held) error {
	what := childCommand{args: l.child, shell: l.options.shell, env: []string{"CONSUL_LOCK_HELD=true"}}
	if l.options.passStdin {
		what.stdin, what.foreground = l.console.in, true
	}
	process, err := l.console.start(what)
	if err != nil {
		return failf("Error running handler: %w", err)
	}
	failed := process.wait(held.Lost(), l.console.signals)
	if failed != nil {
		l.console.warnf("Error running handler: %s\n", failed)
	}
	if held.IsLost() {
		return failf("The lock was lost, so the command was ended")
	}
	if failed != nil && l.options.childCode {
		return &failure{code: exitChild}
	}
	return nil
}
