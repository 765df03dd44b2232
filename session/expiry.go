package session

import (
	"context"
	"log/slog"
	"time"

	"lictor/expiry"
	"lictor/state"
	"lictor/telemetry"
)

// Expiry ends sessions that are not renewed in time. It works on the leader, in memory alone: a new leader lets every
// session live for its whole time again. As Consul does, it waits for twice the TTL, which is only the shortest time
// that a client can rely on. NewExpiry makes one; nil knows of no TTLs.
type Expiry struct {
	log    state.Log
	logger *slog.Logger
	ended  *telemetry.Sample // session_ttl.invalidate: how long it takes to end sessions
	queue  *expiry.Queue
}

// graceFactor is how many TTLs a session lives without being renewed.
const graceFactor = 2

// NewExpiry makes an Expiry that does nothing until Run.
func NewExpiry(log state.Log, logger *slog.Logger, metrics *telemetry.Registry) *Expiry {
	e := &Expiry{log: log, logger: logger, ended: metrics.Sample("session_ttl.invalidate")}
	e.queue = expiry.New(expiry.Work{Load: e.load, Due: e.due, End: e.end})
	metrics.GaugeFunc("session_ttl.active", func() float64 { return float64(e.queue.Len()) })
	return e
}

// Run ends sessions from now on until ctx is done, which it blocks for. The leader runs it.
func (e *Expiry) Run(ctx context.Context) { e.queue.Run(ctx) }

// load sets deadlines for the sessions that have none yet.
func (e *Expiry) load() {
	now := time.Now()
	for s := range Sessions.All(e.log.DB().Read().Unwatched()) {
		if ttl := s.ttl(); ttl > 0 {
			e.queue.Add(expiry.Item{Name: s.ID}, now.Add(graceFactor*ttl))
		}
	}
}

// Reset gives a session its whole time again. It tells whether that was in time: a session that is being ended cannot
// be saved any more.
func (e *Expiry) Reset(s *Session) bool {
	ttl := s.ttl()
	if e == nil || ttl <= 0 {
		return true
	}
	return e.queue.Extend(expiry.Item{Name: s.ID}, time.Now().Add(graceFactor*ttl))
}

// due tells whether a session is still there.
func (e *Expiry) due(i expiry.Item) bool {
	return Find(e.log.DB().Read().Unwatched(), i.Name) != nil
}

// end ends sessions.
func (e *Expiry) end(ctx context.Context, items []expiry.Item) error {
	d := &Destroy{}
	for _, i := range items {
		d.IDs = append(d.IDs, i.Name)
	}
	defer e.ended.Since(time.Now())
	_, err := e.log.Apply(ctx, d)
	if err != nil && ctx.Err() == nil {
		e.logger.Warn("failed to end sessions whose TTL is over", "sessions", len(items), "error", err)
	}
	return err
}
