package view

import (
	"context"
	"errors"
	"time"

	"lictor/rpc"
	"lictor/state"
)

// readRemote is Read on an agent that has no state.
func (v *Views) readRemote(ctx context.Context, name string, opts *Options, args any) (*Result, state.ReadMeta, error) {
	known, err := v.find(name)
	if err != nil {
		return nil, state.ReadMeta{}, err
	}
	m, err := v.mirror(known, opts.Header, args)
	if err != nil {
		return nil, state.ReadMeta{}, err
	}
	var out outcome
	if opts.MinIndex == 0 {
		out = m.read(ctx, opts)
	} else {
		out = m.wait(ctx, opts, v.limit(opts.Wait))
	}
	return out.result, out.meta, out.err
}

// read answers at once.
func (m *mirror) read(ctx context.Context, opts *Options) outcome {
	if opts.Cached {
		return m.last(ctx, opts.ReadOptions)
	}
	return m.fetch(ctx, opts.ReadOptions)
}

// fetch asks the servers. Those who ask the same at the same moment share what they ask.
func (m *mirror) fetch(ctx context.Context, opts state.ReadOptions) outcome {
	ask := func(ctx context.Context) outcome { return m.fetchOnce(ctx, opts) }
	if opts.MaxStale != 0 || int(opts.Consistency) >= len(m.fetches) {
		return alone(ctx, m.views, ask)
	}
	return m.fetches[opts.Consistency].join(ctx, m.views, ask)
}

func (m *mirror) fetchOnce(ctx context.Context, opts state.ReadOptions) outcome {
	had := m.current.Load()
	p, err := m.views.Source.Fetch(ctx, m.asking(opts, had))
	if err != nil {
		m.views.Counts.Failed.Inc()
		if m.views.ctx.Err() != nil {
			err = state.ErrStopped
		}
		return outcome{err: err}
	}
	m.views.Counts.Fetched.Inc()
	r, _, err := m.take(p, had, opts.Consistency != state.Stale)
	return outcome{r, state.ReadMeta{LastContact: p.LastContact, KnownLeader: p.KnownLeader}, err}
}

// last is what was last heard. The first to ask for it begins to follow the result, and blocks until there is one.
func (m *mirror) last(ctx context.Context, opts state.ReadOptions) outcome {
	if m.phase.Load() >= live && !m.touched.Load() {
		m.touched.Store(true)
	}
	for begun := false; ; begun = true {
		if r := m.current.Load(); r != nil && m.phase.Load() == live {
			return outcome{result: r, meta: state.ReadMeta{KnownLeader: true}}
		}
		phase, turned, failed := m.state()
		switch {
		case phase == live:
			continue
		case phase == broken:
			if r, age := m.held(); r != nil && (opts.MaxStale <= 0 || age <= opts.MaxStale) {
				return outcome{result: r, meta: state.ReadMeta{LastContact: age}}
			}
			return m.fetch(ctx, opts)
		case phase == apart && begun && failed != nil:
			return outcome{err: failed}
		case phase == apart && !m.begin():
			return m.fetch(ctx, opts)
		case phase == apart:
			continue
		}
		select {
		case <-turned:
		case <-ctx.Done():
			return outcome{err: ctx.Err()}
		case <-m.views.ctx.Done():
			return outcome{err: state.ErrStopped}
		}
	}
}

// held is what was last heard, and how long ago that was known to be right.
func (m *mirror) held() (r *Result, age time.Duration) {
	return m.current.Load(), max(0, m.views.clock()-time.Duration(m.good.Load()))
}

// wait blocks until the result's index is above opts.MinIndex, the time is over or ctx is done. It begins with what a
// read gives. That no server can be followed for a while does not end it.
func (m *mirror) wait(ctx context.Context, opts *Options, limit time.Duration) outcome {
	over := time.NewTimer(limit)
	defer over.Stop()
	out := m.read(ctx, opts)
	if out.err != nil || out.result.index > opts.MinIndex {
		return out
	}
	if !m.join() {
		return outcome{err: state.ErrStopped}
	}
	defer m.leave()
	return m.await(ctx, opts, over.C)
}

// await waits for the result that the mirror follows. While it is lost, servers are asked each HoldTimeout: perhaps they
// only cannot be followed.
func (m *mirror) await(ctx context.Context, opts *Options, over <-chan time.Time) outcome {
	hold := time.NewTimer(m.views.HoldTimeout)
	defer hold.Stop()
	for holding := true; ; {
		phase, turned, failed := m.state()
		r := m.current.Load()
		switch {
		case phase == apart:
			return outcome{err: orStopped(failed)}
		case r != nil && r.index > opts.MinIndex:
			return outcome{result: r, meta: state.ReadMeta{KnownLeader: true}}
		case phase == live && holding:
			hold.Stop()
			holding = false
		case phase != live && !holding:
			hold.Reset(m.views.HoldTimeout)
			holding = true
		}
		select {
		case <-changed(r):
		case <-turned:
		case <-hold.C:
			holding = false
			if out := m.read(ctx, opts); out.err != nil || out.result.index > opts.MinIndex {
				return out
			}
		case <-over:
			return m.end(ctx, opts, r)
		case <-ctx.Done():
			return outcome{err: ctx.Err()}
		case <-m.views.ctx.Done():
			return outcome{err: state.ErrStopped}
		}
	}
}

// end is the answer to who has waited in vain: a new one, or what there is.
func (m *mirror) end(ctx context.Context, opts *Options, r *Result) outcome {
	out := m.read(ctx, opts)
	if out.err == nil || r == nil || !brief(out.err) || ctx.Err() != nil {
		return out
	}
	_, age := m.held()
	return outcome{result: r, meta: state.ReadMeta{LastContact: age}}
}

// changed is closed once there is a result with a higher index than r has.
func changed(r *Result) <-chan struct{} {
	if r == nil {
		return nil
	}
	return r.changed
}

func orStopped(err error) error {
	if err == nil {
		return state.ErrStopped
	}
	return err
}

// brief tells whether an error is about the way to the servers, or about their being without a leader, rather than about
// what was asked: it is worth while to ask again.
func brief(err error) bool {
	var coded interface{ ErrorCode() string }
	if !errors.As(err, &coded) {
		return true
	}
	code := rpc.Code(coded.ErrorCode())
	return code == rpc.NoLeader || code == rpc.NoDatacenter || code == rpc.Unreachable || code == rpc.Limited || code == rpc.CodeOf(state.ErrStopped)
}
