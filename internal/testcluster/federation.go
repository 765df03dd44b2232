package testcluster

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lictor/internal/fakenet"
)

// A Federation is several clusters, each a datacenter: dc1, dc2 and so on.
type Federation struct {
	testing.TB
	Net *fakenet.Network
	All []*Cluster
}

// Federate makes datacenters of so many servers and clients each, which are called as in Run with the name of the datacenter
// in front (dc2-s1), waits until every server knows all others, and plays the story, in fake time.
func Federate(t *testing.T, datacenters, servers, clients int, extra string, story func(f *Federation)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := &Federation{TB: t, Net: fakenet.New(uint64(len(t.Name())))}
		var hubs []string
		defer func() { // all at once, as some wait for the last probes of others
			for _, c := range f.All {
				c.halt()
			}
			time.Sleep(lastProbe)
		}()
		for i := range datacenters {
			name := fmt.Sprintf("dc%d", i+1)
			c := &Cluster{TB: t, Net: f.Net, dir: dir, extra: fmt.Sprintf("datacenter = %q\n%s", name, extra), site: i + 1, wan: slices.Clone(hubs)}
			f.All = append(f.All, c)
			for k := range servers {
				c.Add(fmt.Sprintf("%s-s%d", name, k+1), true, fmt.Sprintf("bootstrap_expect = %d", servers))
			}
			for k := range clients {
				c.Add(fmt.Sprintf("%s-c%d", name, k+1), false)
			}
			hubs = append(hubs, c.all[0].Addr)
		}
		f.Settled()
		story(f)
		f.Net.HealAll()
		f.Settled()
		for _, c := range f.All {
			c.checkReplicas()
		}
	})
}

// Settled waits until each datacenter is settled and its servers see those of all others.
func (f *Federation) Settled() {
	f.Helper()
	want := 0
	for _, c := range f.All {
		c.Settled()
		want += len(c.servers())
	}
	f.All[0].Eventually("the servers of all datacenters see each other", func() bool {
		for _, c := range f.All {
			for _, n := range c.servers() {
				if n.counted("/v1/agent/members?wan=1") != want || len(n.Datacenters()) != len(f.All) {
					return false
				}
			}
		}
		return true
	})
}

// DC finds a datacenter by its number, which begins with 1.
func (f *Federation) DC(number int) *Cluster { return f.All[number-1] }

// Part cuts all links between two datacenters. HealAll of the network mends them.
func (f *Federation) Part(a, b int) {
	for _, x := range f.DC(a).all {
		for _, y := range f.DC(b).all {
			f.Net.Cut(x.Addr, y.Addr)
		}
	}
}

// NoPackets lets only connections pass between datacenters from now on.
func (f *Federation) NoPackets() {
	for i, a := range f.All {
		for _, b := range f.All[:i] {
			for _, x := range a.all {
				for _, y := range b.all {
					f.Net.NoPackets(x.Addr, y.Addr)
				}
			}
		}
	}
}

// Datacenters are those that the agent knows.
func (n *Node) Datacenters() []string {
	var names []string
	if json.Unmarshal([]byte(n.Get("/v1/catalog/datacenters")), &names) != nil {
		return nil
	}
	return names
}

// servers lists the servers that run.
func (c *Cluster) servers() []*Node {
	return slices.DeleteFunc(c.Running(), func(n *Node) bool { return !n.Server })
}

// counted counts the members that a list shows as such.
func (n *Node) counted(path string) int {
	var members []peer
	if json.Unmarshal([]byte(n.Get(path)), &members) != nil {
		return -1
	}
	return len(slices.DeleteFunc(members, func(m peer) bool { return m.Status != alive }))
}

// reads a key of a datacenter.
func (n *Node) far(dc int, key string) string {
	return strings.TrimSpace(n.Get(fmt.Sprintf("/v1/kv/%s?raw&dc=dc%d", key, dc)))
}
