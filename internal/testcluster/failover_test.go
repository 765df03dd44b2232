package testcluster

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A prepared query looks in other datacenters for what its own does not have, from each kind of agent, and comes home as
// soon as that is there.
func TestPreparedQueriesFailOver(t *testing.T) {
	Federate(t, 3, 1, 1, "", func(f *Federation) {
		at := func(dc int, service, node string) {
			t.Helper()
			body := fmt.Sprintf(`{"Node": %q, "Address": "10.0.0.%d", "Service": {"ID": %q, "Service": %q, "Port": 80}}`, node, dc, service, service)
			if a := f.DC(dc).Leader().Ask("PUT", "/v1/catalog/register", body); !a.OK() {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		}
		at(3, "web", "w1")
		at(3, "web", "w2")
		for name, over := range map[string]string{"named": `{"Datacenters": ["dc9", "dc2", "dc3"]}`, "nearest": `{"NearestN": 2}`,
			"targets": `{"Targets": [{"Datacenter": "dc3"}]}`, "dc2 alone": `{"Datacenters": ["dc2"]}`} {
			q := fmt.Sprintf(`{"Name": %q, "Service": {"Service": "web", "Failover": %s}, "DNS": {"TTL": "3s"}}`, name, over)
			if a := f.DC(1).Leader().Ask("POST", "/v1/query", q); !a.OK() {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		}
		type result struct {
			Datacenter string
			Failovers  int
			DNS        struct{ TTL string }
			Nodes      []struct {
				Node struct{ Node, Datacenter string }
			}
		}
		run := func(n *Node, name, params string) (r result) {
			t.Helper()
			a := n.Ask("GET", "/v1/query/"+strings.ReplaceAll(name, " ", "%20")+"/execute"+params, "")
			if err := json.Unmarshal([]byte(a.Body), &r); err != nil || !a.OK() {
				t.Fatalf("%s on %s: %d %s", name, n.Name, a.Status, a.Body)
			}
			return r
		}
		for _, n := range f.DC(1).Running() {
			for name, tries := range map[string][]int{"named": {2}, "nearest": {1, 2}, "targets": {1}} {
				r := run(n, name, "")
				if r.Datacenter != "dc3" || !slices.Contains(tries, r.Failovers) || len(r.Nodes) != 2 || r.Nodes[0].Node.Datacenter != "dc3" || r.DNS.TTL != "3s" {
					t.Errorf("%s on %s: %+v", name, n.Name, r)
				}
				if r := run(n, name, "?limit=1"); len(r.Nodes) != 1 {
					t.Errorf("%s on %s: %d instances, where one is wanted", name, n.Name, len(r.Nodes))
				}
			}
			if r := run(n, "dc2 alone", ""); r.Datacenter != "dc2" || r.Failovers != 1 || len(r.Nodes) != 0 {
				t.Errorf("on %s: %+v", n.Name, r)
			}
		}
		if r := run(f.DC(2).Node("dc2-c1"), "named", "?dc=dc1"); r.Datacenter != "dc3" || len(r.Nodes) != 2 {
			t.Errorf("asked from dc2: %+v", r)
		}
		at(1, "web", "home")
		for _, n := range f.DC(1).Running() {
			f.DC(1).Eventually("the query comes home", func() bool {
				r := run(n, "named", "")
				return r.Datacenter == "dc1" && r.Failovers == 0 && len(r.Nodes) == 1
			})
		}
	})
}

// When all machines of a datacenter lose power, prepared queries are answered from the next one within two probes of the WAN's
// gossip, however many servers there were and however many other datacenters might know a way.
func TestFailoverWithinTwoProbes(t *testing.T) {
	const probes = 2 * 5 * time.Second
	for _, servers := range []int{1, 3} {
		t.Run(fmt.Sprint(servers, " servers each"), func(t *testing.T) {
			Federate(t, 4, servers, 1, "", func(f *Federation) {
				for _, dc := range []int{2, 3} {
					body := fmt.Sprintf(`{"Node": "ext%d", "Address": "10.9.9.9", "Service": {"Service": "web", "Port": 80}}`, dc)
					if a := f.DC(dc).Leader().Ask("PUT", "/v1/catalog/register", body); !a.OK() {
						t.Fatalf("%d %s", a.Status, a.Body)
					}
				}
				query := `{"Name": "q", "Service": {"Service": "web", "Failover": {"Datacenters": ["dc2", "dc3"]}}}`
				if a := f.DC(1).Leader().Ask("POST", "/v1/query", query); !a.OK() {
					t.Fatalf("%d %s", a.Status, a.Body)
				}
				for _, n := range f.DC(1).Running() {
					f.DC(1).Eventually("the query gives what is near", func() bool { return strings.Contains(n.Get("/v1/query/q/execute"), `"ext2"`) })
				}
				for _, n := range f.DC(2).Running() {
					f.DC(2).Cut(n)
				}
				var asking sync.WaitGroup
				var mu sync.Mutex // guards longest
				var longest time.Duration
				for _, n := range f.DC(1).Running() {
					for i := range 50 { // at all times, not only when it is noticed
						asking.Go(func() {
							f.DC(1).Sleep(time.Duration(i) * 200 * time.Millisecond)
							begun := time.Now()
							a := n.Ask("GET", "/v1/query/q/execute", "")
							took := time.Since(begun)
							mu.Lock()
							longest = max(longest, took)
							mu.Unlock()
							if !strings.Contains(a.Body, `"ext3"`) || took > probes-3*time.Second {
								t.Errorf("%s asks %s after the loss: after %s %d %s", n.Name, time.Duration(i)*200*time.Millisecond, took, a.Status, a.Body)
							}
						})
					}
				}
				asking.Wait()
				t.Logf("the longest query took %s", longest)
				begun := time.Now()
				f.Net.HealAll()
				for _, n := range f.DC(1).Running() {
					f.DC(1).Eventually("the query comes back", func() bool { return strings.Contains(n.Get("/v1/query/q/execute"), `"ext2"`) })
				}
				if took := time.Since(begun); took > probes {
					t.Errorf("the query is back after %s", took)
				}
			})
		})
	}
}

// Who waits for a change in another datacenter is told of it by another server there within five seconds after the one that would
// have told falls silent.
func TestAStreamLeavesASilentServer(t *testing.T) {
	Federate(t, 2, 3, 1, "", func(f *Federation) {
		there := f.DC(2)
		there.Leader().Put("k", "0")
		for i, silent := range there.Running() {
			if !silent.Server {
				continue
			}
			if silent == there.Leader() {
				if a := silent.Ask("POST", "/v1/operator/raft/transfer-leader", ""); !a.OK() {
					t.Fatalf("%d %s", a.Status, a.Body)
				}
				there.Settled()
			}
			type end struct {
				node *Node
				body string
				at   time.Time
			}
			ends := make(chan end, 4)
			waiting := 0
			for _, n := range f.DC(1).Running() {
				index := n.Ask("GET", "/v1/kv/k?dc=dc2", "").Header.Get("X-Consul-Index")
				waiting++
				go func() {
					body := n.Ask("GET", "/v1/kv/k?raw&dc=dc2&wait=60s&index="+index, "").Body
					ends <- end{n, body, time.Now()}
				}()
			}
			f.DC(1).Sleep(10 * time.Second) // the streams are silent, too, as nothing changes
			there.Cut(silent)
			begun, value := time.Now(), fmt.Sprint("of round ", i)
			there.Leader().Put("k", value)
			for range waiting {
				if e := <-ends; e.body != value || e.at.Sub(begun) > 5*time.Second {
					t.Errorf("%s falls silent: %s reads %q after %s", silent.Name, e.node.Name, e.body, e.at.Sub(begun))
				}
			}
			f.Net.HealAll()
			f.Settled()
		}
	})
}
