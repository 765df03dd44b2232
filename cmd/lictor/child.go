package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// A childCommand is a program that a command of ours runs.
type childCommand struct {
	args  []string
	shell bool      // whether a shell reads args, joined by blanks
	stdin io.Reader // what it reads, nothing if nil
	env   []string  // besides our own environment
	// foreground leaves it in our process group, so that it may read a terminal. Signals reach it alone, then, and
	// not what it has started.
	foreground bool
}

// A child runs until wait returns.
type child struct {
	cmd        *exec.Cmd
	foreground bool
	done       chan error     // gets the result of the one goroutine that waits for it
	others     chan os.Signal // signals to us that are for the child alone
}

// childGrace is what a child has between SIGTERM and SIGKILL.
const childGrace = 5 * time.Second

func (c *console) start(what childCommand) (*child, error) {
	name, args := what.args[0], what.args[1:]
	if what.shell {
		if name = c.getenv("SHELL"); name == "" {
			name = "/bin/sh"
		}
		args = []string{"-c", strings.Join(what.args, " ")}
	}
	cmd := exec.Command(name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = what.stdin, c.out, c.err
	cmd.Env = append(os.Environ(), what.env...)
	cmd.WaitDelay = childGrace
	if !what.foreground {
		lead(cmd)
	}
	ch := &child{cmd: cmd, foreground: what.foreground, done: make(chan error, 1), others: make(chan os.Signal, 8)}
	notifyOfOthers(ch.others)
	if err := cmd.Start(); err != nil {
		signal.Stop(ch.others)
		return nil, err
	}
	go func() { ch.done <- cmd.Wait() }()
	return ch, nil
}

// wait returns how the child has ended. Once stop is closed, or a signal to end has come, it is told to end, and killed
// if it does not. Hang-ups, and signals that mean what the child makes of them, are passed on to it as they are.
func (ch *child) wait(stop <-chan struct{}, signals <-chan os.Signal) error {
	defer signal.Stop(ch.others)
	var late <-chan time.Time
	end := func() {
		ch.signal(syscall.SIGTERM)
		if late == nil {
			late = time.After(childGrace)
		}
	}
	for {
		select {
		case err := <-ch.done:
			if errors.Is(err, exec.ErrWaitDelay) {
				return nil // it has ended well, and left something behind that holds its output open
			}
			return err
		case <-stop:
			stop = nil
			end()
		case s := <-signals:
			if s == syscall.SIGHUP {
				ch.signal(s)
				continue
			}
			end()
		case s := <-ch.others:
			ch.signal(s)
		case <-late:
			ch.signal(os.Kill)
		}
	}
}
