package dnsserver

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lictor/acl"
	"lictor/catalog"
	"lictor/state"
	"lictor/view"
)

// servers are the Source of an agent without the state, which may be out of reach.
type servers struct {
	*view.Views
	away    atomic.Pointer[context.CancelFunc] // ends what is followed; nil while they are out of reach
	fetches atomic.Int64
}

var errAway = errors.New("out of reach")

func (s *servers) Fetch(ctx context.Context, q *view.Ask) (*view.Packed, error) {
	s.fetches.Add(1)
	if s.away.Load() == nil {
		return nil, errAway
	}
	return s.Views.Answer(ctx, q.Header, q)
}

func (s *servers) Follow(ctx context.Context, q *view.Ask, deliver func(*view.Packed) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if old := s.away.Load(); old == nil || !s.away.CompareAndSwap(old, &cancel) {
		return errAway
	}
	return s.Views.Stream(ctx, q.Header, q, deliver)
}

func (s *servers) leave() { (*s.away.Swap(nil))() }

func (s *servers) come() { s.away.Store(new(context.CancelFunc)) }

// An agent without the state answers from what it follows: while the servers are away, from what it last heard, and with
// what is new as soon as it hears of that.
func TestAgentWithoutState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, err := state.NewLocal(10, catalog.Tables()...)
		if err != nil {
			t.Fatal(err)
		}
		service := &catalog.Service{Log: log, Datacenter: "dc1"}
		source := &servers{Views: view.New(view.Config{Log: log, Datacenter: "dc1"})}
		source.come()
		agent := view.New(view.Config{Source: source, Datacenter: "dc1"})
		for _, v := range []*view.Views{source.Views, agent} {
			defer v.Stop()
			view.Handle(v, catalog.ServiceHealthQuery, service.ServiceHealth)
		}
		settings := Defaults()
		settings.AllowStale, settings.MaxStale = true, time.Hour
		s := New(Config{Lookup: FromViews(agent, "n1", nil), Datacenter: "dc1", Settings: settings})
		defer s.Stop()
		register := func(node, address string) {
			t.Helper()
			r := &catalog.Register{Node: node, Address: address, Service: &catalog.Instance{ID: "web", Service: "web", Port: 80}}
			if _, err := service.Register(t.Context(), acl.AllowAll(), r); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		expect := func(answers int, status string) {
			t.Helper()
			got := text(ask(t, s, question("web.service.consul", "A"), false))
			if len(got) != answers+1 || got[0] != status {
				t.Errorf("got %v, want %d answers", got, answers)
			}
		}
		register("n1", "10.0.0.1")
		for range 100 {
			expect(1, "NOERROR aa")
		}
		if n := source.fetches.Load(); n != 0 {
			t.Errorf("the servers were asked %d times", n)
		}
		register("n2", "10.0.0.2")
		expect(2, "NOERROR aa")
		source.leave()
		synctest.Wait()
		register("n3", "10.0.0.3")
		for range 50 {
			expect(2, "NOERROR aa")
			time.Sleep(time.Minute)
		}
		source.come()
		time.Sleep(10 * time.Second)
		expect(3, "NOERROR aa")
		source.leave()
		time.Sleep(2 * time.Hour)
		expect(0, "SERVFAIL aa")
	})
}
