package gossip

import (
	"syscall"
	"testing"
	"time"
)

// BenchmarkIdle reports the CPU, in microseconds per second, of the LAN and WAN pools of a server that is alone. Run it
// with -benchtime 1x: one iteration is ten seconds.
func BenchmarkIdle(b *testing.B) {
	for _, kind := range []Kind{LAN, WAN} {
		cfg := simConfig(1)
		cfg.Kind, cfg.Tags = kind, serverTags()
		cfg.BindAddr, cfg.DataDir = "127.0.0.1", b.TempDir()
		p, err := New(cfg)
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Start(); err != nil {
			b.Fatal(err)
		}
		defer p.Stop()
	}
	const span = 10 * time.Second
	start := cpu()
	for b.Loop() {
		time.Sleep(span)
	}
	b.ReportMetric(float64((cpu()-start).Microseconds())/float64(b.N)/span.Seconds(), "us-cpu/s")
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
