package view_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lictor/kv"
	"lictor/rpc"
	"lictor/state"
	"lictor/view"
)

// A link is a Source: the way from an agent to servers that hold the same state, through the encoding that travels. It
// can be cut, and a server can be slow.
type link struct {
	mu      sync.Mutex
	servers []*view.Views
	at      int           // the server that is asked
	cut     chan struct{} // closed while there is no way
	slow    time.Duration // each way

	fetches, follows, bodies, streams atomic.Int64
}

var errCut = errors.New("connection reset")

func newLink(servers ...*view.Views) *link {
	return &link{servers: servers, cut: make(chan struct{})}
}

// sever cuts the way, with all that is under way; mend opens it, to the server with this number.
func (l *link) sever() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.cut)
}

func (l *link) mend(server int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut, l.at = make(chan struct{}), server
}

// turn moves to another server. What is followed on the old one stays there.
func (l *link) turn(server int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = server
}

// dial finds the server, and a ctx that ends with the way to it.
func (l *link) dial(ctx context.Context) (*view.Views, context.Context, context.CancelCauseFunc, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	cut := l.cut
	select {
	case <-cut:
		return nil, nil, nil, errCut
	default:
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() { // ends with ctx
		select {
		case <-cut:
			cancel(errCut)
		case <-ctx.Done():
		}
	}()
	return l.servers[l.at], ctx, cancel, nil
}

func (l *link) wait(ctx context.Context) error {
	if l.slow == 0 {
		return context.Cause(ctx)
	}
	select {
	case <-time.After(l.slow):
		return context.Cause(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *link) Fetch(ctx context.Context, q *view.Ask) (*view.Packed, error) {
	l.fetches.Add(1)
	server, ctx, cancel, err := l.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel(nil)
	if err := l.wait(ctx); err != nil {
		return nil, err
	}
	p, err := server.Answer(ctx, q.Header, travel(q))
	if err == nil {
		err = l.wait(ctx)
	}
	if err != nil {
		return nil, err
	}
	return l.arrive(p), nil
}

func (l *link) Follow(ctx context.Context, q *view.Ask, deliver func(*view.Packed) error) error {
	l.follows.Add(1)
	server, ctx, cancel, err := l.dial(ctx)
	if err != nil {
		return err
	}
	defer cancel(nil)
	l.streams.Add(1)
	defer l.streams.Add(-1)
	err = server.Stream(ctx, q.Header, travel(q), func(p *view.Packed) error {
		if err := l.wait(ctx); err != nil {
			return err
		}
		return deliver(l.arrive(p))
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (l *link) arrive(p *view.Packed) *view.Packed {
	if !p.Unchanged {
		l.bodies.Add(1)
	}
	return travel(p)
}

// travel is what arrives of a message.
func travel[T any](sent *T) *T {
	b, err := rpc.Append(nil, sent)
	arrived := new(T)
	if err == nil {
		err = rpc.Decode(b, arrived)
	}
	if err != nil {
		panic(err)
	}
	return arrived
}

// A site is an agent without the state, and its servers, which share one state.
type site struct {
	*bench // the state, and the first server
	second *view.Views
	link   *link
	agent  *view.Views
}

func newSite(t testing.TB, c view.Config) *site {
	t.Helper()
	s := &site{bench: start(t, view.Config{})}
	s.second = view.New(view.Config{Log: s.log, Datacenter: "dc1"})
	service := &kv.Service{Log: s.log}
	view.Handle(s.second, kv.GetQuery, service.Get)
	view.Handle(s.second, kv.ListQuery, service.List)
	s.link = newLink(s.views, s.second)
	c.Source, c.Datacenter = s.link, "dc1"
	s.agent = view.New(c)
	view.Handle(s.agent, kv.GetQuery, (&kv.Service{}).Get)
	view.Handle(s.agent, kv.ListQuery, (&kv.Service{}).List)
	return s
}

func (s *site) stop() {
	s.agent.Stop()
	s.views.Stop()
	s.second.Stop()
}

// ask reads a key on the agent.
func (s *site) ask(ctx context.Context, key string, opts view.Options) (view.Answer[[]*kv.Entry], error) {
	return view.Read(ctx, s.agent, kv.GetQuery, &opts, kv.Get{Key: key})
}

func value(a view.Answer[[]*kv.Entry]) string {
	if a.Result == nil || len(a.Value()) == 0 {
		return ""
	}
	return string(a.Value()[0].Value)
}

var (
	cached = view.Options{Cached: true}
	stale  = view.Options{ReadOptions: state.ReadOptions{Consistency: state.Stale}}
)
