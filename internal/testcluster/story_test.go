package testcluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// modes are the consistency modes that promise the newest state.
var modes = []string{"", "consistent"}

func TestWritesAndReadsEverywhere(t *testing.T) {
	Run(t, 3, 2, "", func(c *Cluster) {
		for i, n := range c.Running() {
			key := fmt.Sprintf("k%d", i)
			n.Put(key, n.Name)
			for _, reader := range c.Running() {
				for _, mode := range modes {
					if v, err := reader.Value(key, mode); v != n.Name || err != nil {
						t.Errorf("%s wrote, %s reads %q, %v with mode %q", n.Name, reader.Name, v, err, mode)
					}
				}
			}
		}
	})
}

func TestLeaderCutOff(t *testing.T) {
	Run(t, 3, 1, "", func(c *Cluster) {
		old := c.Leader()
		old.Put("a", "1")
		c.Cut(old)
		begun := time.Now()
		c.Eventually("the others have a leader", func() bool {
			return slices.ContainsFunc(c.Running(), func(n *Node) bool { return n != old && n.Leads() })
		})
		t.Logf("a new leader after %s", time.Since(begun))
		c.Node("c1").PutAgain("a", "2")
		c.Eventually("the old leader steps down", func() bool { return !old.Leads() })
		for _, mode := range modes {
			if v, err := old.Value("a", mode); err == nil {
				t.Errorf("the side without a quorum answers %q with mode %q", v, mode)
			}
		}
		if a := old.Ask("PUT", "/v1/kv/b", "x"); a.OK() || !strings.Contains(a.Body, "No cluster leader") {
			t.Errorf("the side without a quorum takes a write: %d %s", a.Status, a.Body)
		}
		if a := old.Ask("GET", "/v1/kv/a?raw&stale", ""); a.Body != "1" || a.Header.Get("X-Consul-Knownleader") != "false" {
			t.Errorf("stale: %q, known leader: %s", a.Body, a.Header.Get("X-Consul-Knownleader"))
		}
		c.Heal()
		c.Settled()
		if v, err := old.Value("a", ""); v != "2" || err != nil {
			t.Errorf("after healing: %q, %v", v, err)
		}
	})
}

func TestClientFailsOver(t *testing.T) {
	Run(t, 3, 1, "", func(c *Cluster) {
		client := c.Node("c1")
		client.Put("a", "1")
		for range 2 { // with three servers one may be gone at a time
			leader := c.Leader()
			leader.Crash()
			client.PutAgain("a", leader.Name)
			if v, err := client.Value("a", "consistent"); v != leader.Name || err != nil {
				t.Errorf("%q, %v", v, err)
			}
			leader.Start()
			c.Settled()
		}
	})
}

func TestRollingRestart(t *testing.T) {
	Run(t, 3, 1, "", func(c *Cluster) {
		client := c.Node("c1")
		for i, name := range []string{"s1", "s2", "s3"} {
			n := c.Node(name)
			n.Shutdown()
			client.PutAgain(fmt.Sprintf("while/%s", name), "x")
			n.Start()
			c.Settled()
			if got := strings.Count(client.Get("/v1/kv/while/?keys"), "while/"); got != i+1 {
				t.Errorf("%d keys after restart %d", got, i+1)
			}
		}
	})
}

func TestServersComeBackElsewhere(t *testing.T) {
	Run(t, 3, 0, "", func(c *Cluster) {
		c.Leader().Put("a", "1")
		for _, n := range c.Running() {
			n.Shutdown()
		}
		for i, n := range c.all {
			n.Addr = fmt.Sprintf("10.0.1.%d", i+1)
		}
		for _, n := range c.all {
			n.Start()
		}
		c.Settled()
		if v, err := c.Leader().Value("a", "consistent"); v != "1" || err != nil {
			t.Errorf("%q, %v", v, err)
		}
		c.Follower().Put("a", "2")
	})
}

func TestServerReplaced(t *testing.T) {
	Run(t, 3, 0, `autopilot { server_stabilization_time = "1s" }`, func(c *Cluster) {
		dead := c.Follower()
		dead.Kill()
		c.Add("s4", true)
		c.Eventually("the new server has the vote of the dead one", func() bool {
			v := c.Voters()
			return len(v) == 3 && slices.Contains(v, "s4") && !slices.Contains(v, dead.Name)
		})
	})
}

func TestGrowAndShrink(t *testing.T) {
	Run(t, 3, 1, `autopilot { server_stabilization_time = "1s" }`, func(c *Cluster) {
		c.Add("s4", true)
		c.Add("s5", true)
		c.Eventually("five vote", func() bool { return len(c.Voters()) == 5 })
		for range 2 {
			c.Leader().Quit()
			c.Node("c1").PutAgain("a", "x")
		}
		c.Eventually("three vote", func() bool { return len(c.Voters()) == 3 })
	})
}

func TestLossyNodeStaysAlive(t *testing.T) {
	Run(t, 3, 2, "", func(c *Cluster) {
		c.Net.Loss(c.Node("c2").Addr, 0.3)
		leader := c.Leader()
		for range 60 {
			c.Sleep(5 * time.Second)
			if !leader.sees(c.Running()) {
				t.Fatal("a node that loses 30% of its packets was declared dead")
			}
		}
		if c.Leader() != leader {
			t.Error("the leader has changed")
		}
	})
}

func TestOtherClusterIsRefused(t *testing.T) {
	Run(t, 1, 1, "", func(c *Cluster) {
		other := c.Add("s9", true, "bootstrap_expect = 1", "retry_join = []")
		c.Eventually("another cluster", other.Leads)
		if a := other.Ask("PUT", "/v1/agent/join/"+c.Node("s1").Addr, ""); a.OK() {
			t.Errorf("two clusters have merged: %s", other.Get("/v1/agent/members"))
		}
		other.Shutdown()
	})
}

func TestUnequalExpectations(t *testing.T) {
	Run(t, 0, 0, "", func(c *Cluster) {
		c.Add("s1", true, "bootstrap_expect = 3")
		c.Add("s2", true, "bootstrap_expect = 2")
		c.Sleep(time.Minute)
		if c.leader() != nil {
			t.Error("servers that expect different numbers have made a cluster")
		}
		for name, want := range map[string]string{"s1": "server s2 has bootstrap_expect = 2, and this one 3", "s2": "server s1 has bootstrap_expect = 3, and this one 2"} {
			if log := c.Node(name).log.String(); strings.Count(log, want) != 1 {
				t.Errorf("the log of %s does not say once: %s\n%s", name, want, log)
			}
		}
		a := c.Node("s1").Ask("GET", "/v1/kv/a", "")
		if want := "No cluster leader (no voters yet: 2 of bootstrap_expect = 3 servers are known)"; a.Body != want {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
}

// Of more servers than are expected exactly one begins a cluster, and all come to it.
func TestMoreServersThanExpected(t *testing.T) {
	Run(t, 0, 0, `autopilot { server_stabilization_time = "1s" }`, func(c *Cluster) {
		for i := range 5 {
			c.Add(fmt.Sprintf("s%d", i+1), true, "bootstrap_expect = 3")
		}
		c.Settled()
		c.Eventually("all have a vote", func() bool { return len(c.Voters()) == 5 })
		begun := 0
		for _, n := range c.all {
			begun += strings.Count(n.log.String(), "the expected servers are there and make a cluster")
		}
		if begun != 1 {
			t.Errorf("%d servers have begun a cluster", begun)
		}
	})
}

func TestEventsReachEverybody(t *testing.T) {
	Run(t, 3, 2, "", func(c *Cluster) {
		if a := c.Node("c1").Ask("PUT", "/v1/event/fire/deploy?node=^s", "now"); !a.OK() {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		c.Sleep(5 * time.Second)
		for _, n := range c.Running() {
			if got := strings.Contains(n.Get("/v1/event/list?name=deploy"), `"Payload":"bm93"`); got != n.Server {
				t.Errorf("%s has the event: %t", n.Name, got)
			}
		}
	})
}

// Blocking queries bear a change of the leader, and see what is written after it.
func TestBlockingQueryBearsAFailover(t *testing.T) {
	Run(t, 3, 1, "", func(c *Cluster) {
		client := c.Node("c1")
		client.Put("a", "1")
		index := client.Ask("GET", "/v1/kv/a", "").Header.Get("X-Consul-Index")
		answer := make(chan Answer, 1)
		go func() { answer <- client.Ask("GET", "/v1/kv/a?raw&wait=25s&index="+index, "") }()
		c.Sleep(time.Second)
		c.Leader().Crash()
		c.Sleep(3 * time.Second)
		client.PutAgain("a", "2")
		if a := <-answer; a.Body != "2" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
}

// A service of a client agent is found, and goes when its agent does.
func TestServicesOfClients(t *testing.T) {
	Run(t, 3, 2, "", func(c *Cluster) {
		for _, name := range []string{"c1", "c2"} {
			if a := c.Node(name).Ask("PUT", "/v1/agent/service/register", `{"Name": "web", "Port": 80}`); !a.OK() {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		}
		found := func() int {
			return strings.Count(c.Node("c1").Get("/v1/health/service/web?passing"), `"ID":"web"`)
		}
		c.Eventually("both are found", func() bool { return found() == 2 })
		c.Node("c2").Kill()
		c.Eventually("the dead one is not found", func() bool { return found() == 1 })
		c.Node("c2").Start()
		c.Eventually("it is back", func() bool { return found() == 2 })
		c.Node("c2").Quit()
		c.Eventually("it has left the catalog", func() bool { return !strings.Contains(c.Node("s1").Get("/v1/catalog/nodes"), `"Node":"c2"`) })
	})
}
