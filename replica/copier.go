package replica

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"lictor/pace"
	"lictor/rpc"
	"lictor/state"
	"lictor/telemetry"
)

// A Copier keeps copies of rows up to date: a duty of the leader.
type Copier[Z any] struct {
	Log state.Log
	// Kinds are copied together. Rows of one may name rows of those before it: who has seen a row finds here what that names.
	Kinds  []Kind[Z]
	Caller rpc.Caller
	// Header says whose rows are copied, and with which token.
	Header func() rpc.Header
	// Wait bounds how long the owner may hold back an answer for want of changes; 0 means half a minute.
	Wait    time.Duration
	Journal *slog.Logger
	Metrics *telemetry.Registry

	mu     sync.Mutex // guards status
	status Status

	// What follows belongs to Run.
	following []*following
	batches   *rate.Limiter
	base      *state.WatchSet // of a state that no restore has replaced
	compared  time.Time       // when all was last compared with what is here
}

// Status is how the copying goes.
type Status struct {
	Running          bool
	Indexes          []uint64 // of the owner, by kind, up to where all is copied; 0 if nothing has been
	LastSuccess      time.Time
	LastError        time.Time
	LastErrorMessage string
}

// A following is where a kind stands.
type following struct {
	at    uint64            // index of the owner
	known map[string]string // digests that the owner gave for what is here; nil if that is to be found out
	index *telemetry.Gauge
	well  *telemetry.Gauge
}

// How fast it is copied: rounds follow each other no sooner than roundPause, and what has failed is tried again after retryMin,
// which doubles up to retryMax. Each batch has at most batchRows rows, and batchBytes of them unless one alone has more.
const (
	roundPause     = time.Second
	retryMin       = time.Second
	retryMax       = 30 * time.Second
	batchRows      = 128
	batchBytes     = 256 << 10
	batchesASecond = 10
	waitDefault    = 30 * time.Second
	compareEvery   = time.Hour // all is compared anew: what was over here need not be any more, as clocks are set
)

// Status tells how the copying goes on this server.
func (c *Copier[Z]) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.status
	s.Indexes = slices.Clone(s.Indexes)
	if s.Indexes == nil {
		s.Indexes = make([]uint64, len(c.Kinds))
	}
	return s
}

// Run copies until ctx ends. A nil Copier has nothing to copy.
func (c *Copier[Z]) Run(ctx context.Context) {
	if c == nil {
		return
	}
	c.begin()
	defer c.note(func(s *Status) {
		*s = Status{LastSuccess: s.LastSuccess, LastError: s.LastError, LastErrorMessage: s.LastErrorMessage}
	})
	for retry := retryMin; ctx.Err() == nil; {
		err := c.round(ctx)
		if ctx.Err() != nil {
			return
		}
		pause := roundPause
		if err != nil {
			c.Journal.Warn("failed to copy from the primary datacenter", "what", c.name(), "error", err)
			pause, retry = retry, min(2*retry, retryMax)
		} else {
			retry = retryMin
		}
		c.report(err)
		_ = pace.Rest(ctx, pause/2+rand.N(pause)) // its end is seen above
	}
}

// begin forgets what was known when this server last led.
func (c *Copier[Z]) begin() {
	c.following, c.base = nil, nil
	for _, k := range c.Kinds {
		c.following = append(c.following, &following{index: c.Metrics.Gauge("leader.replication." + k.name() + ".index"), well: c.Metrics.Gauge("leader.replication." + k.name() + ".status")})
	}
	c.batches = rate.NewLimiter(batchesASecond, batchesASecond)
	c.note(func(s *Status) { s.Running, s.Indexes = true, make([]uint64, len(c.Kinds)) })
}

func (c *Copier[Z]) name() string { return c.Kinds[len(c.Kinds)-1].name() }

func (c *Copier[Z]) note(change func(s *Status)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.status)
}

// report notes what came of a round.
func (c *Copier[Z]) report(err error) {
	now := time.Now().UTC().Truncate(time.Second)
	c.note(func(s *Status) {
		for i, f := range c.following {
			s.Indexes[i] = f.at
			f.index.Set(float64(f.at))
			f.well.Set(map[bool]float64{true: 1, false: 0}[f.known != nil])
		}
		if err != nil {
			s.LastError, s.LastErrorMessage = now, err.Error()
		} else {
			s.LastSuccess = now
		}
	})
}

// forget lets the next round find out what is here.
func (c *Copier[Z]) forget() {
	for _, f := range c.following {
		f.known = nil
	}
}

// round waits for a change and copies it. It blocks as long as nothing changes, but for Wait at most.
func (c *Copier[Z]) round(ctx context.Context) error {
	if c.base == nil || c.base.Abandoned() || time.Since(c.compared) > compareEvery { // what is here may be anything
		c.base, c.compared = c.Log.DB().Read().Watch(), time.Now()
		c.forget()
	}
	q := &Question{Wait: c.Wait}
	if q.Wait == 0 {
		q.Wait = waitDefault
	}
	for i, k := range c.Kinds {
		seen := Seen{Kind: k.name()}
		if f := c.following[i]; f.known != nil {
			seen.Index = f.at
		}
		q.Kinds = append(q.Kinds, seen)
	}
	list, err := ListMethod.Call(ctx, c.Caller, c.Header(), q)
	if err == nil && len(list.Kinds) != len(c.Kinds) {
		err = errors.New("an answer of the primary datacenter to another question")
	}
	if err != nil {
		c.forget() // it may come back as another cluster
		return err
	}
	return c.copy(ctx, list)
}
