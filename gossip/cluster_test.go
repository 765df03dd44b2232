package gossip

import (
	"context"
	"strings"
	"testing"
	"time"
)

// server makes a pool that of a server of a cluster.
func server(cluster string) func(*Config) {
	return func(c *Config) {
		id := c.Tags.ID
		c.Tags = serverTags()
		c.Tags.ID, c.Tags.ClusterID = id, cluster
	}
}

func TestAgentsLearnTheirCluster(t *testing.T) {
	simulate(t, func(s *sim) {
		leader, joining, client := s.start(1, server("one")), s.start(2, server("")), s.start(3, nil)
		if got := leader.ClusterID() + client.ClusterID(); got != "one" {
			t.Errorf("before they join: %q", got)
		}
		s.join(joining, 1)
		s.join(client, 2)
		s.until(10*time.Second, "all know it", all(s.pools, func(p *Pool) bool { return p.ClusterID() == "one" }))
		other := s.start(4, server("two"))
		for _, p := range []*Pool{joining, client} {
			n, err := p.Join(context.Background(), []string{simAddr(4).String()})
			if n != 0 || err == nil || !strings.Contains(err.Error(), "part of cluster two, not one") {
				t.Errorf("joined %d of another cluster: %v", n, err)
			}
		}
		if n, err := other.Join(context.Background(), []string{simAddr(3).String()}); n != 0 || err == nil {
			t.Errorf("the other cluster joins %d: %v", n, err)
		}
		time.Sleep(2 * time.Minute)
		for _, p := range s.pools[:3] {
			if alive(p) != 3 {
				t.Errorf("members %v", p.Members())
			}
		}
		if alive(other) != 1 {
			t.Errorf("members %v", other.Members())
		}
	})
}

// The servers are gone for good, and new ones found a cluster of their own: their clients need no restart.
func TestClientOutlivesItsCluster(t *testing.T) {
	simulate(t, func(s *sim) {
		first, client := s.start(1, server("one")), s.start(2, nil)
		s.join(client, 1)
		s.until(10*time.Second, "it learns", func() bool { return client.ClusterID() == "one" })
		first.Stop()
		s.until(time.Minute, "it is of no cluster", func() bool { return client.ClusterID() == "" })
		s.start(1, func(c *Config) {
			server("two")(c)
			c.Tags.ID = "id-new"
		})
		s.join(client, 1)
		s.until(time.Minute, "it is of the new one", func() bool { return client.ClusterID() == "two" && alive(client) == 2 })
	})
}

// Two servers met before either had founded a cluster, and then each of them founds one.
func TestMembersPartWhenTheirClustersDiffer(t *testing.T) {
	simulate(t, func(s *sim) {
		a, b, client := s.start(1, server("")), s.start(2, server("")), s.start(3, nil)
		s.join(b, 1)
		s.join(client, 2)
		s.until(10*time.Second, "all know all", all(s.pools, func(p *Pool) bool { return alive(p) == 3 }))
		for cluster, p := range map[string]*Pool{"one": a, "two": b} {
			tags := p.cfg.Tags
			tags.ClusterID = cluster
			if err := p.SetTags(context.Background(), tags); err != nil {
				t.Fatal(err)
			}
		}
		s.until(2*time.Minute, "they part", func() bool {
			return statusOf(a, "node2") == StatusFailed && statusOf(b, "node1") == StatusFailed && alive(client) == 2
		})
		time.Sleep(5 * time.Minute)
		if client.ClusterID() == "" || statusOf(a, "node2") != StatusFailed || statusOf(b, "node1") != StatusFailed {
			t.Errorf("client of %q; %v; %v", client.ClusterID(), a.Members(), b.Members())
		}
	})
}

func TestElection(t *testing.T) {
	of := func(server bool, id string) peer { return peer{server: server, cluster: id} }
	for _, c := range []struct {
		own, before string
		alive       []peer
		want        string
	}{
		{"", "", nil, ""},
		{"own", "", []peer{of(true, "a"), of(true, "a")}, "own"},
		{"", "", []peer{of(true, ""), of(true, "b")}, "b"},
		{"", "", []peer{of(true, "b"), of(true, "a"), of(true, "b")}, "b"},
		{"", "", []peer{of(true, "b"), of(true, "a")}, "a"},
		{"", "b", []peer{of(true, "b"), of(true, "a")}, "b"},
		{"", "c", []peer{of(true, "b"), of(true, "a")}, "a"},
		{"", "c", []peer{of(false, "a")}, ""},
	} {
		g := newGuard(&Config{Tags: Tags{ClusterID: c.own}}, nil)
		g.cluster = c.before
		for i, p := range c.alive {
			g.alive[simHost(i)] = p
		}
		if g.elect(); g.cluster != c.want {
			t.Errorf("%+v: %q", c, g.cluster)
		}
	}
}
