//go:build chaos

package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A cluster is three servers and a client agent.
type cluster struct {
	network *network
	dir     string // of data, configuration and logs
	servers []*agent
	client  *agent
	http    *http.Client // of the test itself
}

// newCluster starts a cluster and waits until it takes writes through each of its agents.
func newCluster(t *testing.T, dir string) *cluster {
	t.Helper()
	if _, err := os.Stat(lictor()); err != nil {
		t.Fatalf("build it first: %v", err)
	}
	n := newNetwork(t)
	c := &cluster{network: n, dir: dir, http: n.http(2 * time.Second)}
	var hosts []*host
	var join []string
	for i := range 3 {
		hosts = append(hosts, n.addHost(t, fmt.Sprintf("s%d", i+1)))
		join = append(join, hosts[i].address)
	}
	for _, h := range hosts {
		c.servers = append(c.servers, newAgent(t, h, dir, map[string]any{"server": true, "bootstrap_expect": 3, "retry_join": join}))
	}
	c.client = newAgent(t, n.addHost(t, "c1"), dir, map[string]any{"retry_join": join})
	for _, a := range c.all() {
		if err := a.start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.kill)
	}
	if err := c.ready(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cluster) all() []*agent { return append(c.servers[:len(c.servers):len(c.servers)], c.client) }

// ready waits until each agent takes a write.
func (c *cluster) ready(patience time.Duration) error {
	end := time.Now().Add(patience)
	for _, a := range c.all() {
		for {
			status, body, err := c.call("PUT", a.url()+"/v1/kv/ready", "1")
			if err == nil && status == http.StatusOK {
				break
			}
			if time.Now().After(end) {
				return fmt.Errorf("%s takes no write within %s: %d %s %w", a.name, patience, status, body, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

func (c *cluster) call(method, url, body string) (int, []byte, error) {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	return answer.StatusCode, b, err
}

// leader is the server that takes itself for the leader; nil if there is none, or it is not known.
func (c *cluster) leader() *agent {
	quick := *c.http
	quick.Timeout = 200 * time.Millisecond
	for _, a := range c.servers {
		answer, err := quick.Get(a.url() + "/v1/agent/self")
		if err != nil {
			continue
		}
		var self struct {
			Stats struct{ Consul map[string]string }
		}
		err = json.NewDecoder(answer.Body).Decode(&self)
		_ = answer.Body.Close()
		if err == nil && self.Stats.Consul["leader"] == "true" {
			return a
		}
	}
	return nil
}

// ended lists the processes that have ended by themselves.
func (c *cluster) ended() (all []string) {
	for _, a := range c.all() {
		all = append(all, a.ended()...)
	}
	return all
}

// suspicious lists lines of the logs that no agent should write.
func (c *cluster) suspicious() (all []string) {
	for _, a := range c.all() {
		content, err := os.ReadFile(a.log)
		if err != nil {
			all = append(all, err.Error())
		}
		for line := range strings.Lines(string(content)) {
			if strings.Contains(line, "panic") || strings.Contains(line, "DATA RACE") || strings.Contains(line, "goroutine 1 [") {
				all = append(all, filepath.Base(a.log)+": "+strings.TrimSpace(line))
			}
		}
	}
	return all
}
