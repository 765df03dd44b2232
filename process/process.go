// Package process runs a command to its end, with all that it starts, and keeps a bounded part of its output. It knows
// nothing of why the command runs.
package process

import (
	"context"
	"io"
	"os"
	"os/exec"
	"time"
)

// outputGrace is how long a command's output is awaited once the command itself is gone, in case that something it left
// behind holds it open.
const outputGrace = time.Second

// A Command is what to run.
type Command struct {
	Args   []string  // the program and its arguments, without a shell
	Env    []string  // besides our own environment
	Stdin  io.Reader // nothing if nil
	Output io.Writer // gets both outputs, from one goroutine at a time
}

// Run runs a command and tells its exit code, -1 if a signal ended it. When ctx is done it kills the command with all
// that it started. It fails if the command could not start.
func Run(ctx context.Context, c Command) (code int, err error) {
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Output, c.Output
	if len(c.Env) > 0 {
		cmd.Env = append(os.Environ(), c.Env...)
	}
	cmd.WaitDelay = outputGrace
	inGroup(cmd)
	if err := cmd.Start(); err != nil {
		return -1, err
	}
	err = cmd.Wait()
	if cmd.ProcessState == nil {
		return -1, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

// Shell is a line for the shell as arguments: for that of the environment variable SHELL, or /bin/sh.
func Shell(line string) []string {
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "/bin/sh"
	}
	return []string{shell, "-c", line}
}
