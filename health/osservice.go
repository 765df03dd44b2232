package health

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"lictor/catalog"
	"lictor/process"
)

// An osServiceProber asks systemd about a unit: active is passing, all else is critical.
type osServiceProber struct {
	systemctl, service string
	timeout            time.Duration
}

func newOSService(env environment, d *catalog.CheckDefinition) (prober, error) {
	return &osServiceProber{env.systemctl, d.OSService, timeout(d, DefaultTimeout)}, nil
}

func (p *osServiceProber) probe(ctx context.Context) result {
	if runtime.GOOS != "linux" {
		return critical(fmt.Sprintf("OS service checks need systemd; they are not supported on %s", runtime.GOOS))
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	out := process.NewTail(DefaultOutputMaxSize)
	code, err := process.Run(ctx, process.Command{Args: []string{p.systemctl, "is-active", "--", p.service}, Output: out})
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return timedOut(p.timeout, out)
	case errors.Is(err, exec.ErrNotFound):
		return critical("OS service checks need systemd: systemctl is not installed")
	case err != nil:
		return failed(err)
	case code == 0:
		return passing(fmt.Sprintf("Service %q is %s", p.service, state(out, "active")))
	}
	return critical(fmt.Sprintf("Service %q is not active: %s", p.service, state(out, "unknown")))
}

// state is what systemctl printed.
func state(out *process.Tail, otherwise string) string {
	if text := strings.TrimSpace(out.Text()); text != "" {
		return text
	}
	return otherwise
}
