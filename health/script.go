package health

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"lictor/catalog"
)

// outputGrace is how long a command's output is awaited once the command itself is gone, in case that something it left
// behind holds it open.
const outputGrace = time.Second

// A scriptProber runs a command: exit code 0 is passing, 1 is a warning, all else is critical.
type scriptProber struct {
	args    []string
	timeout time.Duration
	limit   int
}

func newScript(env environment, d *catalog.CheckDefinition) (prober, error) {
	return &scriptProber{d.ScriptArgs, timeout(d, DefaultScriptTimeout), env.limit(d)}, nil
}

func (p *scriptProber) probe(ctx context.Context) result {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	out := newTail(p.limit)
	code, err := execute(ctx, out, p.args)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return timedOut(p.timeout, out)
	}
	if err != nil {
		return failed(err)
	}
	return exited(code, out)
}

// timedOut is the result of a command that took too long.
func timedOut(after time.Duration, out *tail) result {
	text := fmt.Sprintf("Timed out (%s) running check", after)
	if out.total > 0 {
		text += "\n\n" + out.text()
	}
	return critical(text)
}

// exited is the result of a command that ended by itself.
func exited(code int, out *tail) result {
	switch code {
	case 0:
		return passing(out.text())
	case 1:
		return warning(out.text())
	}
	return critical(out.text())
}

// execute runs a command and tells its exit code, -1 if a signal ended it. When ctx is done it kills the command with
// all that it started.
func execute(ctx context.Context, out *tail, args []string) (code int, err error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
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
