package view_test

import (
	"context"
	"testing"

	"lictor/catalog"
	"lictor/kv"
	"lictor/rpc"
	"lictor/state"
	"lictor/view"
)

// FuzzAsk asks a server whatever comes.
func FuzzAsk(f *testing.F) {
	log, err := state.NewLocal(10, append(kv.Tables(), catalog.Tables()...)...)
	if err != nil {
		f.Fatal(err)
	}
	views := view.New(view.Config{Log: log, Datacenter: "dc1", MaxEntries: 100})
	f.Cleanup(views.Stop)
	view.Handle(views, kv.GetQuery, (&kv.Service{}).Get)
	view.Handle(views, catalog.ServiceHealthQuery, (&catalog.Service{}).ServiceHealth)
	for _, q := range []view.Ask{
		{Query: kv.GetQuery.Name, Args: must(rpc.Append(nil, &kv.Get{Key: "a"})), ReadOptions: state.ReadOptions{Consistency: 77}},
		{Query: catalog.ServiceHealthQuery.Name, Args: must(rpc.Append(nil, &catalog.ServiceHealth{Service: "a", NodeMeta: catalog.PairsOf(map[string]string{"a": "b"})}))},
		{Query: kv.GetQuery.Name, Args: []byte{0xdf, 0xff, 0xff, 0xff, 0xff}},
	} {
		f.Add(must(rpc.Append(nil, &q)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var q view.Ask
		if rpc.Decode(b, &q) != nil {
			return
		}
		p, err := views.Answer(t.Context(), rpc.Header{}, &q)
		if err != nil {
			return
		}
		q.Have = p.Tag
		if p, err = views.Answer(t.Context(), rpc.Header{}, &q); err != nil || p.Unchanged != (p.Tag == q.Have) || p.Unchanged == (p.Body != nil) {
			t.Errorf("asked again: %+v, %v", p, err)
		}
	})
}

// said is a Source that says the same to everything.
type said view.Packed

func (s *said) Fetch(context.Context, *view.Ask) (*view.Packed, error) { return (*view.Packed)(s), nil }

func (s *said) Follow(ctx context.Context, _ *view.Ask, deliver func(*view.Packed) error) error {
	for range 2 {
		if err := deliver((*view.Packed)(s)); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// FuzzPacked answers an agent whatever comes.
func FuzzPacked(f *testing.F) {
	entries := []*kv.Entry{{Key: "a", Value: []byte("1")}, nil}
	for _, p := range []view.Packed{
		{Index: 1, Tag: view.Tag{Server: 1, Seq: 2}, KnownLeader: true, Body: must(rpc.Append(nil, &entries))},
		{Unchanged: true}, {LastContact: -1, Body: []byte{0xdd, 0xff, 0xff, 0xff, 0xff}},
	} {
		f.Add(must(rpc.Append(nil, &p)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s said
		if rpc.Decode(b, (*view.Packed)(&s)) != nil {
			return
		}
		agent := view.New(view.Config{Source: &s, Datacenter: "dc1"})
		defer agent.Stop()
		view.Handle(agent, kv.GetQuery, nil)
		for _, opts := range []view.Options{{}, {Cached: true}, {}, {Cached: true}} {
			a, err := view.Read(t.Context(), agent, kv.GetQuery, &opts, kv.Get{Key: "a"})
			if err == nil && a.Index() == 0 {
				t.Error("an answer without an index")
			}
		}
	})
}
