// Package testcluster runs whole agents in one process, in a fake network and in fake time, and gives the tests of clusters
// their words: who leads, cut, heal, kill, restart. Agents are the real ones, with logs on disk; only their network, and
// HTTP and DNS, which are called without sockets, are not.
package testcluster

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lictor/agent"
	"lictor/config"
	"lictor/internal/fakenet"
)

// A Cluster is some agents under test.
type Cluster struct {
	testing.TB
	Net   *fakenet.Network
	dir   string
	all   []*Node
	extra string   // HCL for every agent
	site  int      // third number of the agents' addresses
	wan   []string // addresses of servers of other datacenters
}

// A Node is one agent, running or not.
type Node struct {
	*agent.Agent
	Name    string
	Addr    string // its host in the network; a restart may change it
	Server  bool
	cluster *Cluster
	hcl     []string
	log     *journal
	runs    bool
}

// Run makes a cluster of servers, which are called s1, s2 and so on, and of client agents c1, c2 and so on, waits until it has
// a leader that knows all of them, and plays the story, in fake time. Afterwards it heals the network and checks that all
// servers have the same state. Extra is HCL for each agent. A cluster of no servers begins with nobody, and nothing is checked.
func Run(t *testing.T, servers, clients int, extra string, story func(c *Cluster)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c := &Cluster{TB: t, Net: fakenet.New(uint64(len(t.Name()))), dir: dir, extra: extra}
		defer c.stop()
		for i := range servers {
			c.Add(fmt.Sprintf("s%d", i+1), true, fmt.Sprintf("bootstrap_expect = %d", servers))
		}
		for i := range clients {
			c.Add(fmt.Sprintf("c%d", i+1), false)
		}
		if servers == 0 {
			story(c)
			return
		}
		c.Settled()
		story(c)
		c.Net.HealAll()
		c.Settled()
		c.checkReplicas()
	})
}

// Add starts a further agent, which joins the others.
func (c *Cluster) Add(name string, server bool, hcl ...string) *Node {
	c.Helper()
	n := c.plan(name, server, hcl...)
	n.Start()
	return n
}

// plan makes a further agent that does not run yet.
func (c *Cluster) plan(name string, server bool, hcl ...string) *Node {
	n := &Node{Name: name, Addr: fmt.Sprintf("10.0.%d.%d", c.site, len(c.all)+1), Server: server, cluster: c, hcl: hcl, log: new(journal)}
	c.all = append(c.all, n)
	return n
}

// Start runs an agent that does not run, with what its data directory holds.
func (n *Node) Start() {
	n.cluster.Helper()
	if err := n.try(); err != nil {
		n.cluster.Fatalf("start %s: %v", n.Name, err)
	}
}

// try is Start for an agent that may not be able to.
func (n *Node) try() error {
	a, err := agent.New(agent.Config{Output: n.log, Build: agent.Build{Version: "1.21.4", Own: "0"}, Network: n.cluster.Net.Host(n.Addr),
		Load: func() (*config.Loaded, error) {
			return config.Load(config.Options{Fragments: append([]string{n.basis(), n.cluster.extra}, n.hcl...)})
		}})
	if err != nil {
		return err
	}
	n.Agent = a
	err = a.Start()
	n.runs = err == nil
	return err
}

func (n *Node) basis() string {
	text := fmt.Sprintf(`node_name = %q server = %t bind_addr = %q client_addr = %[3]q data_dir = %q log_level = "debug"
		ports { http = -1 dns = -1 grpc = -1 grpc_tls = -1 } retry_interval = "1s"
		performance { raft_multiplier = 1 leave_drain_time = "1s" }
		raft_logstore { wal { segment_size_mb = 1 } }`, n.Name, n.Server, n.Addr, filepath.Join(n.cluster.dir, n.Name))
	for _, other := range n.cluster.wan {
		if n.Server {
			text += fmt.Sprintf("\nretry_join_wan = [%q] retry_interval_wan = \"1s\"", other)
		}
	}
	for _, other := range n.cluster.all {
		if other != n {
			text += fmt.Sprintf("\nretry_join = [%q]", other.Addr)
		}
	}
	return text
}

// Kill ends an agent as a power cut does: nobody hears of it, and it says nothing.
func (n *Node) Kill() {
	n.cluster.Helper()
	n.cluster.Net.Vanish(n.Addr)
	n.end()
}

// Crash ends an agent as kill -9 does: its host goes on and closes its connections.
func (n *Node) Crash() {
	n.cluster.Helper()
	n.cluster.Net.Kill(n.Addr)
	n.end()
}

// Shutdown ends an agent that may say goodbye to Raft but does not leave.
func (n *Node) Shutdown() {
	n.cluster.Helper()
	n.end()
}

// Quit lets an agent leave the cluster and ends it.
func (n *Node) Quit() {
	n.cluster.Helper()
	if err := n.Leave(context.Background()); err != nil {
		n.cluster.Errorf("%s leaves: %v", n.Name, err)
	}
	n.end()
}

func (n *Node) end() {
	n.runs = false
	_ = n.Stop() // a host without a network cannot end in order
}

// Settled waits until there is a leader and every agent that runs sees exactly those that run as alive.
func (c *Cluster) Settled() {
	c.Helper()
	c.Eventually("every agent sees the others and the leader", func() bool {
		for _, n := range c.Running() {
			if !n.sees(c.Running()) {
				return false
			}
		}
		return c.leader() != nil
	})
}

// Running lists the agents that run.
func (c *Cluster) Running() []*Node {
	var out []*Node
	for _, n := range c.all {
		if n.runs {
			out = append(out, n)
		}
	}
	return out
}

// Node finds an agent by its name.
func (c *Cluster) Node(name string) *Node {
	c.Helper()
	for _, n := range c.all {
		if n.Name == name {
			return n
		}
	}
	c.Fatalf("no agent is called %s", name)
	return nil
}

// Leader waits until one server leads and all that run agree on it.
func (c *Cluster) Leader() *Node {
	c.Helper()
	var leader *Node
	c.Eventually("there is a leader", func() bool { leader = c.leader(); return leader != nil })
	return leader
}

func (c *Cluster) leader() *Node {
	for _, n := range c.Running() {
		if n.Server && n.Leads() {
			return n
		}
	}
	return nil
}

// Follower is a server that runs and does not lead.
func (c *Cluster) Follower() *Node {
	c.Helper()
	leader := c.Leader()
	for _, n := range c.Running() {
		if n.Server && n != leader {
			return n
		}
	}
	c.Fatal("no follower runs")
	return nil
}

// Cut separates an agent from all others; Heal undoes all cuts.
func (c *Cluster) Cut(n *Node) { c.Net.Isolate(n.Addr) }

// Heal undoes all cuts.
func (c *Cluster) Heal() { c.Net.HealAll() }

// Sleep lets time pass.
func (c *Cluster) Sleep(d time.Duration) { time.Sleep(d) }

// patience bounds all waits, in fake time.
const patience = 2 * time.Minute

// Eventually waits until something holds.
func (c *Cluster) Eventually(what string, holds func() bool) {
	c.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			c.Fatalf("never: %s\n%s", what, c.journals())
		}
	}
}

// lastProbe is when the last of memberlist's goroutines that probe has ended: one takes up to eight seconds where its agent was in doubt
// about itself, and by chance begins another one after its end has been asked for.
const lastProbe = 5 * time.Minute

func (c *Cluster) stop() {
	defer time.Sleep(lastProbe)
	c.halt()
}

func (c *Cluster) halt() {
	for _, n := range c.Running() {
		if err := n.Stop(); err != nil {
			c.Errorf("stop %s: %v", n.Name, err)
		}
	}
	if c.Failed() {
		c.Log(c.journals())
	}
}

func (c *Cluster) journals() string {
	var out bytes.Buffer
	for _, n := range c.all {
		fmt.Fprintf(&out, "--- %s\n%s\n", n.Name, n.log)
	}
	return out.String()
}

// A journal keeps the end of a log.
type journal struct {
	mu   sync.Mutex // guards text
	text []byte
}

const journalSize = 64 << 10

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text = append(j.text, p...)
	if over := len(j.text) - journalSize; over > 0 {
		j.text = j.text[over:]
	}
	return len(p), nil
}

// String is what has been kept.
func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return string(j.text)
}
