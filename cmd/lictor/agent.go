package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"lictor/agent"
	"lictor/config"
	"lictor/heap"
)

// newAgentCommand declares the flags of the agent and returns what runs it.
func newAgentCommand(fs *flag.FlagSet, c *console) runFunc {
	var given []config.FlagValue
	for _, f := range config.AgentFlags() {
		note := func(value string) error {
			given = append(given, config.FlagValue{Name: f.Name, Value: value})
			return nil
		}
		if f.Kind == config.BoolFlag {
			fs.BoolFunc(f.Name, f.Help, note)
		} else {
			fs.Func(f.Name, f.Help, note)
		}
	}
	return func(_ context.Context, args []string) error {
		if len(args) > 0 {
			return usagef("Unexpected extra arguments: %v", args)
		}
		load := func() (*config.Loaded, error) {
			options, err := config.FromFlags(given)
			if err != nil {
				return nil, err
			}
			return config.Load(options)
		}
		return runAgent(c, load)
	}
}

// runAgent runs an agent until a signal, its API or a failure ends it.
func runAgent(c *console, load func() (*config.Loaded, error)) error {
	revision, date := revision()
	a, err := agent.New(agent.Config{Load: load, Output: c.out,
		Build: agent.Build{Version: consulVersion, Revision: revision, Date: date, Own: lictorVersion}})
	if err != nil {
		return explainConfig(err)
	}
	room := uint64(heap.ServerRoom)
	if !a.Serves() {
		room = heap.ClientRoom
	}
	heap.Pace(room)
	if err := a.Start(); err != nil {
		return fmt.Errorf("the agent could not start: %w", err)
	}
	a.Welcome()
	return serve(c, a)
}

// explainConfig adds to the error of a configuration what it knows of positions.
func explainConfig(err error) error {
	var problems config.Problems
	if errors.As(err, &problems) {
		return errors.New(strings.TrimRight(problems.Explain(), "\n"))
	}
	return err
}

// serve waits for what ends the agent, and ends it.
func serve(c *console, a *agent.Agent) error {
	dumps := make(chan os.Signal, 1)
	notifyOfDumps(dumps)
	defer signal.Stop(dumps)
	for {
		select {
		case <-dumps:
			_ = a.DumpMetrics(c.err) // who closed standard error does not want them
		case s := <-c.signals:
			if s == syscall.SIGHUP {
				a.ReloadNow()
				continue
			}
			return end(c, a, a.LeavesOn(s))
		case <-a.Left():
			return a.Stop()
		case err := <-a.Failed():
			return errors.Join(err, a.Stop())
		}
	}
}

// gracePeriod bounds how long a graceful end may take.
const gracePeriod = 15 * time.Second

// end stops the agent after a signal, gracefully if it is to leave. Another signal meanwhile ends it at once. An agent
// that has not left exits with code 1, as Consul's does.
func end(c *console, a *agent.Agent, leave bool) error {
	stopped := make(chan error, 1)
	go func() {
		var err error
		if leave {
			ctx, cancel := context.WithTimeout(context.Background(), gracePeriod)
			defer cancel()
			err = a.Leave(ctx)
		}
		stopped <- errors.Join(err, a.Stop())
	}()
	select {
	case err := <-stopped:
		if err != nil || leave {
			return err
		}
	case <-c.signals:
	}
	return &failure{code: exitError}
}
