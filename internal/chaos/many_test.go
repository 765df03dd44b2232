//go:build chaos

package chaos

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"
)

// TestManyAgents runs CHAOS_AGENTS real client agents and three servers on one host, each agent with a service and a check,
// and prints what each of them costs at rest, over CHAOS_TIME (1m).
func TestManyAgents(t *testing.T) {
	number, err := strconv.Atoi(os.Getenv("CHAOS_AGENTS"))
	if err != nil {
		t.Skip("CHAOS_AGENTS is not set")
	}
	dir := workDir(t, "agents")
	n := newNetwork(t)
	h := n.addHost(t, "h")
	c := &cluster{network: n, dir: dir, http: n.http(20 * time.Second)}
	join := []string{h.address + ":20000", h.address + ":20001", h.address + ":20002"}
	var all []*agent
	begin := time.Now()
	for i := range 3 + number {
		more := map[string]any{"retry_join": join, "log_level": "WARN",
			// All agents have one address.
			"limits": map[string]any{"rpc_max_conns_per_client": 10 * (3 + number)}, "ports": map[string]any{"dns": -1, "serf_wan": -1, "grpc": -1,
				"grpc_tls": -1, "serf_lan": 20000 + i, "http": 30000 + i, "server": 40000 + i}}
		named := *h
		named.name = fmt.Sprintf("c%d", i-2)
		if i < 3 {
			named.name = fmt.Sprintf("s%d", i+1)
			more["server"], more["bootstrap_expect"] = true, 3
		}
		more["node_name"] = named.name
		a := newAgent(t, &named, dir, more)
		a.port = 30000 + i
		if err := a.start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.kill)
		all = append(all, a)
		if i == 2 { // the servers first
			c.servers, c.client = all[:2], all[2]
			if err := c.ready(30 * time.Second); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, a := range all[3:] {
		registerService(t, c, a)
	}
	t.Logf("%d agents started and registered after %s", len(all), time.Since(begin).Round(time.Millisecond))
	awaitPassing(t, c, all, begin)
	time.Sleep(20 * time.Second) // what a start has left is done
	measure(t, all, duration(t, "CHAOS_TIME", time.Minute))
	for _, a := range all {
		for _, text := range a.ended() {
			t.Error(text)
		}
	}
}

// registerService registers a service with a check, as soon as the agent answers.
func registerService(t *testing.T, c *cluster, a *agent) {
	t.Helper()
	body := fmt.Sprintf(`{"Name":"web","ID":"web","Port":80,"Check":{"TCP":"%s:%d","Interval":"10s","Timeout":"1s"}}`, a.address, a.port)
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		status, answer, err := c.call("PUT", a.url()+"/v1/agent/service/register", body)
		if err == nil && status == http.StatusOK {
			return
		}
		if time.Since(begin) > 60*time.Second {
			t.Fatalf("%s takes no service: %d %s %v", a.name, status, answer, err)
		}
	}
}

// awaitPassing waits until all agents and all services are passing in the catalog, as the last agent sees it.
func awaitPassing(t *testing.T, c *cluster, all []*agent, since time.Time) {
	t.Helper()
	last := all[len(all)-1]
	for begin := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		var passing []struct{ CheckID string }
		status, body, err := c.call("GET", last.url()+"/v1/health/state/passing", "")
		if err == nil && status == http.StatusOK {
			err = json.Unmarshal(body, &passing)
		}
		if len(passing) == len(all)+len(all)-3 {
			t.Logf("all are passing in the catalog %s after the start", time.Since(since).Round(time.Millisecond))
			return
		}
		if time.Since(begin) > 2*time.Minute {
			t.Fatalf("%d checks pass: %d %v", len(passing), status, err)
		}
	}
}

// measure prints what the agents cost over some time.
func measure(t *testing.T, all []*agent, over time.Duration) {
	t.Helper()
	kinds := map[string][][2]cost{"servers": make([][2]cost, 3), "clients": make([][2]cost, len(all)-3)}
	look := func(moment int) {
		for i, a := range all {
			c, err := costOf(a.pid())
			if err != nil {
				t.Fatal(err)
			}
			if i < 3 {
				kinds["servers"][i][moment] = c
			} else {
				kinds["clients"][i-3][moment] = c
			}
		}
	}
	look(0)
	begin := time.Now()
	time.Sleep(over)
	look(1)
	t.Log("\n" + table(kinds, time.Since(begin)))
}
