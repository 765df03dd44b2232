package raftstore

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"lictor/acl"
	"lictor/kv"
	"lictor/state"
)

// What is restored on the leader is restored on all, wakes who watches there, and is what fresh reads see.
func TestRestoreReachesAllServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := newCluster(t, nil, "a", "b", "c")
		l := c.elected()
		c.put("key", "saved")
		var archive bytes.Buffer
		if err := l.service.Save(t.Context(), acl.AllowAll(), state.ReadOptions{}, &archive, func(uint64, state.ReadMeta) {}); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			c.put("key", fmt.Sprint("later", i))
			for _, s := range c.all() {
				c.await("it is there", func() bool { return value(s.Node, "key") == fmt.Sprint("later", i) })
			}
			watched := map[string]*state.Tx{}
			for id, s := range c.all() {
				watched[id] = s.DB().Read()
				kv.Entries.Get(watched[id], "key")
			}
			l := c.elected()
			l.Dir = dir // where the archive is unpacked
			if _, err := l.service.Restore(t.Context(), acl.AllowAll(), bytes.NewReader(archive.Bytes())); err != nil {
				t.Fatal(err)
			}
			for id, s := range c.all() {
				for _, how := range []state.Consistency{state.Default, state.Consistent} {
					if got, err := s.fresh(how, "key"); got != "saved" || err != nil {
						t.Errorf("%s reads %s: %v", id, got, err)
					}
				}
				if !watched[id].Watch().Fired() {
					t.Errorf("a watcher on %s sleeps on", id)
				}
			}
			if err := l.AddNonVoter(t.Context(), fmt.Sprint("new", i), fmt.Sprint("new", i, ":8300")); err != nil { // by the right index
				t.Error(err)
			}
			if err := l.Remove(t.Context(), fmt.Sprint("new", i)); err != nil {
				t.Error(err)
			}
			id := l.ID
			c.kill(id)
			c.put("other", fmt.Sprint(i))
			c.start(id)
			time.Sleep(5 * time.Second)
			c.equal()
		}
	})
}

// A server that has fallen so far behind that it needs a snapshot answers fresh reads as soon as it has it.
func TestFreshAfterASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, func(conf *Config) { conf.TrailingLogs = 1 }, "a", "b", "c")
		l := c.elected()
		behind := c.other(l.ID).ID
		c.kill(behind)
		for i := range 50 {
			c.put("key", fmt.Sprint(i))
		}
		if err := l.Snapshot(); err != nil {
			t.Fatal(err)
		}
		c.start(behind)
		c.await("it answers", func() bool { got, err := c.at(behind).fresh(state.Consistent, "key"); return got == "49" && err == nil })
		if err := l.Handover(t.Context()); err != nil {
			t.Fatal(err)
		}
		n := c.elected()
		if err := n.AddNonVoter(t.Context(), "d", "d:8300"); err != nil {
			t.Error(err)
		}
		if err := n.Remove(t.Context(), "d"); err != nil {
			t.Error(err)
		}
		c.equal()
	})
}

// The first id that a cluster is given is its id for good.
func TestClusterIsNamedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nil, "a", "b", "c")
		l := c.elected()
		if got := ClusterID(l.DB().Read()); got != "" {
			t.Errorf("a new cluster is %q", got)
		}
		for i := range 2 {
			if id, err := l.service.EnsureCluster(t.Context(), func() string { return fmt.Sprint("id", i) }); id != "id0" || err != nil {
				t.Errorf("%q, %v", id, err)
			}
		}
		if id, err := l.Apply(t.Context(), &NameCluster{ID: "other"}); id != "id0" || err != nil {
			t.Errorf("named again: %v, %v", id, err)
		}
		if _, err := c.other(l.ID).service.EnsureCluster(t.Context(), func() string { return "no" }); err == nil && ClusterID(c.other(l.ID).DB().Read()) == "no" {
			t.Error("a follower names the cluster")
		}
		c.equal()
		for id, s := range c.all() {
			if got := ClusterID(s.DB().Read()); got != "id0" {
				t.Errorf("%s: %q", id, got)
			}
		}
	})
}
