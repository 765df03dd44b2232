package raftstore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"lictor/acl"
	"lictor/catalog"
	"lictor/state"
)

func TestAutopilotConfiguration(t *testing.T) {
	n := open(t, nil)
	defer n.Stop()
	s := &Service{Node: n}
	ctx, all := context.Background(), acl.AllowAll()
	get := func() AutopilotConfig {
		t.Helper()
		c, err := s.Autopilot(ctx, all, &state.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	set := func(cmd SetAutopilot) bool {
		t.Helper()
		done, err := s.SetAutopilot(ctx, all, &cmd)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	if diff := cmp.Diff(DefaultAutopilot(), get()); diff != "" {
		t.Error(diff)
	}
	first := DefaultAutopilot()
	first.MaxTrailingLogs = 9
	for range 2 { // the second one changes nothing
		if err := s.EnsureAutopilot(ctx, first); err != nil {
			t.Fatal(err)
		}
		first.MaxTrailingLogs = 10
	}
	was := get()
	if was.MaxTrailingLogs != 9 || was.CreateIndex == 0 || was.CreateIndex != was.ModifyIndex {
		t.Errorf("%+v", was)
	}
	if set(SetAutopilot{Config: first, CAS: true, Index: was.ModifyIndex - 1}) || set(SetAutopilot{Config: first, CAS: true}) {
		t.Error("written in spite of another index")
	}
	if !set(SetAutopilot{Config: first, CAS: true, Index: was.ModifyIndex}) {
		t.Error("not written")
	}
	if now := get(); now.MaxTrailingLogs != 10 || now.CreateIndex != was.CreateIndex || now.ModifyIndex <= was.ModifyIndex {
		t.Errorf("%+v", now)
	}
	first.LastContactThreshold = -1
	if _, err := s.SetAutopilot(ctx, all, &SetAutopilot{Config: first}); err == nil {
		t.Error("a negative duration is accepted")
	}
	if _, err := s.SetAutopilot(ctx, acl.DenyAll(), &SetAutopilot{}); err == nil {
		t.Error("a stranger may write")
	}
}

func TestKeepsUp(t *testing.T) {
	c := DefaultAutopilot()
	leader := LogStats{LastTerm: 5, LastIndex: 1000}
	for name, x := range map[string]struct {
		stats LogStats
		want  bool
	}{
		"the leader":     {leader, true},
		"close":          {LogStats{200 * time.Millisecond, 5, 750}, true},
		"out of contact": {LogStats{201 * time.Millisecond, 5, 1000}, false},
		"never heard":    {LogStats{-1, 5, 1000}, false},
		"far behind":     {LogStats{0, 5, 749}, false},
		"an old term":    {LogStats{0, 4, 1000}, false},
		"ahead":          {LogStats{0, 5, 1001}, true},
	} {
		if got := c.keepsUp(x.stats, leader); got != x.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestFailureTolerance(t *testing.T) {
	for _, x := range []struct{ voters, healthy, want int }{{1, 1, 0}, {2, 2, 0}, {3, 3, 1}, {3, 2, 0}, {3, 1, 0}, {5, 5, 2}, {5, 4, 1}, {4, 4, 1}} {
		servers := []ServerFitness{{Role: RoleNonVoter, Healthy: true}}
		for i := range x.voters {
			servers = append(servers, ServerFitness{Role: RoleVoter, Healthy: i < x.healthy})
		}
		if f := summary(servers, "one"); f.FailureTolerance != x.want || f.Healthy != (x.voters == x.healthy) {
			t.Errorf("%+v: %+v", x, f)
		}
	}
}

func TestFitness(t *testing.T) {
	n := open(t, nil)
	defer n.Stop()
	for _, id := range []string{"gone", "slow", "well"} {
		if err := n.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress("127.0.0.1:"+id), 0, 0).Error(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Apply(context.Background(), &catalog.Register{Node: "n-one", Address: "127.0.0.1", NodeMeta: map[string]string{"zone": "a"}}); err != nil {
		t.Fatal(err)
	}
	s := &Service{Node: n}
	s.Members = func() []Member {
		return []Member{{ID: "well", Name: "n-well", Status: "alive"}, {ID: "slow", Name: "n-slow", Status: "alive"},
			{ID: "one", Name: "n-one", Status: "alive", Version: "1.21.4"}, {ID: "new", Name: "n-new", Status: "alive"}, {ID: "old", Status: "left"}}
	}
	s.Ask = func(_ context.Context, m Member) (LogStats, error) {
		if m.ID == "well" {
			own := n.logStats()
			own.LastContact = time.Millisecond
			return own, nil
		}
		return LogStats{}, errors.New("no answer")
	}
	look := func() Fitness {
		t.Helper()
		f, err := s.Fitness(context.Background(), acl.AllowAll(), &struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := look()
	var got []string
	for _, x := range f.Servers {
		got = append(got, fmt.Sprintf("%s %q %s %s %v", x.ID, x.Name, x.Status, x.Role, x.Healthy))
	}
	want := []string{`gone "" none non-voter false`, `new "n-new" alive none false`, `one "n-one" alive leader true`,
		`slow "n-slow" alive non-voter false`, `well "n-well" alive non-voter true`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	one := f.Servers[2]
	if f.Healthy || f.Leader != "one" || f.FailureTolerance != 0 || one.Meta["zone"] != "a" || one.LastTerm == 0 || one.LastIndex == 0 || one.Version != "1.21.4" {
		t.Errorf("%+v", f)
	}
	if again := look(); again.Servers[2].StableSince != one.StableSince {
		t.Error("what has not changed is not stable")
	}
	s.Ask = nil
	if later := look(); !later.Servers[4].StableSince.After(f.Servers[4].StableSince) {
		t.Error("what has changed is stable")
	}
	if _, err := s.Fitness(context.Background(), acl.DenyAll(), &struct{}{}); err == nil {
		t.Error("a stranger is told")
	}
}

func TestOverseeTellsUntilItsEnd(t *testing.T) {
	n := open(t, nil)
	defer n.Stop()
	s := &Service{Node: n, Members: func() []Member { return []Member{{ID: "one", Name: "n-one", Status: "alive"}} }}
	ctx, cancel := context.WithCancel(context.Background())
	seen := 0
	s.Oversee(ctx, time.Millisecond, func(f Fitness) {
		if !f.Healthy || len(f.Servers) != 1 {
			t.Errorf("%+v", f)
		}
		if seen++; seen == 3 {
			cancel()
		}
	})
	if seen < 3 {
		t.Errorf("told %d times", seen)
	}
}
