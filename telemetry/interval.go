package telemetry

import (
	"context"
	"time"
)

// turnIntervals ends an interval at each multiple of Interval, until ctx ends.
func (r *Registry) turnIntervals(ctx context.Context) {
	for {
		now := time.Now()
		end := now.Truncate(Interval).Add(Interval)
		timer := time.NewTimer(end.Sub(now))
		select {
		case <-timer.C:
			r.turn(end)
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// turn ends the running interval.
func (r *Registry) turn(end time.Time) {
	r.intervalMu.Lock()
	defer r.intervalMu.Unlock()
	for _, c := range r.counters.list() {
		c.roll()
	}
	for _, s := range r.samples.list() {
		s.roll()
	}
	r.rolled = end
	close(r.turned)
	r.turned = make(chan struct{})
}

// Stream hands encode the summary of each interval that ends, until ctx ends, which is no error, or encode fails.
func (r *Registry) Stream(ctx context.Context, encode func(Summary) error) error {
	for {
		r.intervalMu.Lock()
		turned := r.turned
		r.intervalMu.Unlock()
		select {
		case <-turned:
			if err := encode(r.Summary()); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}
