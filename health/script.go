package health

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lictor/catalog"
	"lictor/process"
)

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
	out := process.NewTail(p.limit)
	code, err := process.Run(ctx, process.Command{Args: p.args, Output: out})
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return timedOut(p.timeout, out)
	}
	if err != nil {
		return failed(err)
	}
	return exited(code, out)
}

// timedOut is the result of a command that took too long.
func timedOut(after time.Duration, out *process.Tail) result {
	text := fmt.Sprintf("Timed out (%s) running check", after)
	if out.Total() > 0 {
		text += "\n\n" + out.Text()
	}
	return critical(text)
}

// exited is the result of a command that ended by itself.
func exited(code int, out *process.Tail) result {
	switch code {
	case 0:
		return passing(out.Text())
	case 1:
		return warning(out.Text())
	}
	return critical(out.Text())
}
