package event

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"lictor/acl"
)

func target() Target {
	return Target{Node: "web-1", Services: func(yield func(string, []string) bool) {
		_ = yield("web", []string{"v1", "blue"}) && yield("db", nil)
	}}
}

// A loop delivers what is fired to an inbox.
func loop(b *Inbox) *Service {
	ltime := uint64(0)
	return &Service{Broadcast: func(name string, payload []byte) error {
		ltime++
		_, err := b.Receive(name, payload, ltime)
		return err
	}}
}

func fire(t *testing.T, s *Service, e Event) Event {
	t.Helper()
	fired, err := s.Fire(context.Background(), acl.AllowAll(), &e)
	if err != nil {
		t.Fatal(err)
	}
	return fired
}

func TestDelivery(t *testing.T) {
	for name, c := range map[string]struct {
		event Event
		meant bool
	}{
		"all":             {Event{}, true},
		"this node":       {Event{NodeFilter: "^web"}, true},
		"other nodes":     {Event{NodeFilter: "^db"}, false},
		"a service":       {Event{ServiceFilter: "we."}, true},
		"without tags":    {Event{ServiceFilter: "db"}, true},
		"other services":  {Event{ServiceFilter: "^api$"}, false},
		"a tag":           {Event{ServiceFilter: "web", TagFilter: "^bl"}, true},
		"another's tag":   {Event{ServiceFilter: "db", TagFilter: "v1"}, false},
		"node but no tag": {Event{NodeFilter: "1$", ServiceFilter: "web", TagFilter: "green"}, false},
	} {
		b := NewInbox(target())
		c.event.Name, c.event.Payload = "deploy", []byte("x")
		fired := fire(t, loop(b), c.event)
		events, _ := b.Events()
		if got := len(events) == 1; got != c.meant {
			t.Errorf("%s: delivered %v", name, got)
		} else if got && (events[0].ID != fired.ID || events[0].LTime != 1 || fired.LTime != 0 || string(events[0].Payload) != "x") {
			t.Errorf("%s: fired %+v, came as %+v", name, fired, events[0])
		}
	}
}

func TestRefusals(t *testing.T) {
	s := &Service{Broadcast: func(string, []byte) error { return errors.New("too large") }}
	for _, c := range []struct {
		event Event
		text  string
	}{
		{Event{NodeFilter: "["}, "Invalid node filter: error parsing regexp: missing closing ]: `[`"},
		{Event{ServiceFilter: "["}, "Invalid service filter: error parsing regexp: missing closing ]: `[`"},
		{Event{ServiceFilter: "a", TagFilter: "["}, "Invalid tag filter: error parsing regexp: missing closing ]: `[`"},
		{Event{TagFilter: "["}, "Cannot provide tag filter without service filter"},
		{Event{Name: "big"}, "error broadcasting event: too large"},
	} {
		if _, err := s.Fire(context.Background(), acl.AllowAll(), &c.event); err == nil || err.Error() != c.text {
			t.Errorf("%+v: %v, want %s", c.event, err, c.text)
		}
	}
	_, err := s.Fire(context.Background(), acl.DenyAll(), &Event{Name: "deploy"})
	if err == nil || err.Error() != "Permission denied" {
		t.Errorf("without permission: %v", err)
	}
}

func TestInboxKeepsTheNewestOnce(t *testing.T) {
	b := NewInbox(target())
	var names []string
	var payloads [][]byte
	s := &Service{Broadcast: func(name string, payload []byte) error {
		names, payloads = append(names, name), append(payloads, payload)
		return nil
	}}
	for i := range Kept + 10 {
		fire(t, s, Event{Name: fmt.Sprint(i)})
	}
	_, changed := b.Events()
	for i, name := range names {
		for again := range 2 {
			e, err := b.Receive(name, payloads[i], uint64(i))
			if err != nil || (e != nil) != (again == 0) {
				t.Fatalf("%s, try %d: %v, %v", name, again, e, err)
			}
		}
	}
	select {
	case <-changed:
	default:
		t.Error("who waits is not woken")
	}
	events, _ := b.Events()
	if len(events) != Kept || events[0].Name != "10" || events[Kept-1].Name != fmt.Sprint(Kept+9) || len(b.known) != Kept {
		t.Errorf("%d events from %s to %s, %d ids", len(events), events[0].Name, events[len(events)-1].Name, len(b.known))
	}
}

func TestForeignEventsAreTolerated(t *testing.T) {
	b := NewInbox(target())
	if e, err := b.Receive("consul:event:deploy", []byte("not ours"), 1); e != nil || err != nil {
		t.Errorf("%v, %v", e, err)
	}
	for name, e := range map[string]Event{"no id": {Name: "x"}, "bad filter": {ID: newID(), NodeFilter: "["}} {
		payload, err := e.MarshalMsg(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := b.Receive(prefix+"x", payload, 1); got != nil || err == nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if events, _ := b.Events(); len(events) != 0 {
		t.Errorf("kept %v", events)
	}
}

func TestIndex(t *testing.T) {
	for id, want := range map[string]uint64{
		"b54fe110-7af5-cafc-d1fb-afc8ba432b1c": 0xb54fe1107af5cafc ^ 0xd1fbafc8ba432b1c,
		"00000000-0000-0000-0000-000000000000": 1,
		"":                                     1,
	} {
		if got := (&Event{ID: id}).Index(); got != want {
			t.Errorf("%q: %d, want %d", id, got, want)
		}
	}
}

func FuzzReceive(f *testing.F) {
	s := &Service{Broadcast: func(name string, payload []byte) error { f.Add(name, payload); return nil }}
	if _, err := s.Fire(context.Background(), acl.AllowAll(), &Event{Name: "deploy", Payload: []byte("x"), ServiceFilter: "web", TagFilter: "v"}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string, payload []byte) {
		kept := bytes.Clone(payload)
		b := NewInbox(target())
		e, err := b.Receive(name, payload, 1)
		if e != nil && (err != nil || e.Index() == 0) {
			t.Errorf("%+v, %v", e, err)
		}
		if !bytes.Equal(kept, payload) {
			t.Error("the packet was changed")
		}
	})
}
