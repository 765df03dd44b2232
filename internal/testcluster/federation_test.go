package testcluster

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Every agent reaches every datacenter, for reads, writes, waits and archives.
func TestAgentsReachOtherDatacenters(t *testing.T) {
	Federate(t, 2, 2, 1, "", func(f *Federation) {
		for i, n := range f.DC(1).Running() {
			key := "from-" + n.Name
			if a := n.Ask("PUT", "/v1/kv/"+key+"?dc=dc2", "v"); !a.OK() {
				t.Fatalf("%s writes: %d %s", n.Name, a.Status, a.Body)
			}
			for _, mode := range []string{"", "&consistent", "&stale", "&cached"} {
				f.DC(1).Eventually("what was written is read with "+mode, func() bool { return n.Get("/v1/kv/"+key+"?raw&dc=dc2"+mode) == "v" })
			}
			if got, _ := n.Value(key, ""); got != "" {
				t.Errorf("%s: the key is here as well", n.Name)
			}
			a := n.Ask("GET", "/v1/catalog/nodes?dc=dc2", "")
			if !a.OK() || strings.Count(a.Body, `"Datacenter":"dc2"`) != 3 || strings.Contains(a.Body, "dc1-") {
				t.Errorf("%s: nodes of dc2: %d %s", n.Name, a.Status, a.Body)
			}
			if a := n.Ask("GET", "/v1/kv/x?dc=dc9", ""); a.Status != http.StatusInternalServerError || a.Body != "No path to datacenter" {
				t.Errorf("%s: an unknown datacenter: %d %q", n.Name, a.Status, a.Body)
			}
			if a := n.Ask("PUT", "/v1/event/fire/deploy?dc=dc2", ""); !a.OK() {
				t.Errorf("%s: event: %d %s", n.Name, a.Status, a.Body)
			}
			f.DC(2).Eventually("the event comes", func() bool { return strings.Count(f.DC(2).Node("dc2-c1").Get("/v1/event/list"), "deploy") == i+1 })
			for _, mode := range []string{"", "&stale"} {
				if a := n.Ask("GET", "/v1/operator/raft/configuration?dc=dc2"+mode, ""); !a.OK() || strings.Count(a.Body, `"Node":"dc2-`) != 2 {
					t.Errorf("%s: servers of dc2 with %s: %d %s", n.Name, mode, a.Status, a.Body)
				}
			}
			archive := n.Ask("GET", "/v1/snapshot?dc=dc2", "")
			if !archive.OK() || len(archive.Body) < 100 {
				t.Errorf("%s: archive: %d", n.Name, archive.Status)
			}
			if a := n.Ask("PUT", "/v1/snapshot?dc=dc2", archive.Body); !a.OK() {
				t.Errorf("%s: restore: %d %s", n.Name, a.Status, a.Body)
			}
		}
	})
}

// A read that waits for a change in another datacenter ends with that change.
func TestBlockingReadsOverDatacenters(t *testing.T) {
	Federate(t, 2, 1, 1, "", func(f *Federation) {
		there := f.DC(2).Leader()
		there.Put("k", "1")
		for _, n := range f.DC(1).Running() {
			index := n.Ask("GET", "/v1/kv/k?dc=dc2", "").Header.Get("X-Consul-Index")
			done := make(chan string, 50)
			for range cap(done) {
				go func() { done <- n.Ask("GET", "/v1/kv/k?raw&dc=dc2&wait=20s&index="+index, "").Body }()
			}
			f.DC(1).Sleep(time.Second)
			if len(done) > 0 {
				t.Errorf("%s: a read did not wait: %q", n.Name, <-done)
			}
			there.Put("k", "by "+n.Name)
			for range cap(done) {
				if got := <-done; got != "by "+n.Name {
					t.Errorf("%s waited for %q", n.Name, got)
				}
			}
		}
	})
}

// A forwarded read costs the way there and back, and next to nothing beside.
func TestAForwardedReadCostsOneRoundTrip(t *testing.T) {
	Federate(t, 2, 1, 1, "", func(f *Federation) {
		f.DC(2).Leader().Put("k", "v")
		f.Net.Delay(f.DC(2).Leader().Addr, 39*time.Millisecond) // the network itself adds a millisecond, and a tenth of all by chance
		for _, n := range f.DC(1).Running() {
			n.far(2, "k")
			for range 20 {
				begun := time.Now()
				if got := n.far(2, "k"); got != "v" {
					t.Fatalf("%s read %q", n.Name, got)
				}
				limit := 89 * time.Millisecond
				if !n.Server {
					limit += 3 * time.Millisecond // to its server
				}
				if took := time.Since(begun); took < 78*time.Millisecond || took > limit {
					t.Errorf("%s: a read took %s", n.Name, took)
				}
			}
		}
	})
}

// A cut link is noticed, costs local requests nothing, and is used again once it is mended.
func TestALinkIsCutAndHealed(t *testing.T) {
	Federate(t, 3, 1, 1, "", func(f *Federation) {
		for i := range 3 {
			f.DC(i+1).Leader().Put("k", "v")
		}
		client := f.DC(1).Node("dc1-c1")
		if client.far(2, "k") != "v" {
			t.Fatal("the link does not work")
		}
		f.Part(1, 2)
		f.Part(3, 2)    // or requests would go round
		for range 200 { // far more than would be waited for one after the other
			go client.Ask("GET", "/v1/kv/k?dc=dc2", "")
		}
		for range 20 {
			begun := time.Now()
			if v, err := client.Value("k", ""); v != "v" || err != nil {
				t.Fatal(v, err)
			}
			if took := time.Since(begun); took > 10*time.Millisecond {
				t.Errorf("a local read took %s", took)
			}
			begun = time.Now()
			if client.far(3, "k") != "v" || time.Since(begun) > 20*time.Millisecond {
				t.Errorf("a read of another datacenter took %s", time.Since(begun))
			}
			f.DC(1).Sleep(500 * time.Millisecond)
		}
		begun := time.Now()
		a := client.Ask("GET", "/v1/kv/k?dc=dc2", "")
		if a.Status != http.StatusInternalServerError || !strings.HasPrefix(a.Body, "No path to datacenter") || time.Since(begun) > 4*time.Second {
			t.Errorf("over a cut link: %d %s after %s", a.Status, a.Body, time.Since(begun))
		}
		f.Net.HealAll()
		begun = time.Now()
		f.DC(1).Eventually("the link is used again", func() bool { return client.far(2, "k") == "v" })
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("the link was used again after %s", took)
		}
	})
}

// A datacenter is lost and comes back, with another server and at another address.
func TestADatacenterIsLostAndComesBack(t *testing.T) {
	Federate(t, 2, 1, 0, "", func(f *Federation) {
		here, there := f.DC(1).Leader(), f.DC(2).Leader()
		there.Put("k", "v")
		if here.far(2, "k") != "v" {
			t.Fatal("the link does not work")
		}
		there.Kill()
		f.DC(1).Eventually("its loss is noticed", func() bool { return strings.HasPrefix(here.Get("/v1/kv/k?dc=dc2"), "No path to datacenter") })
		f.DC(1).Sleep(time.Minute)
		begun := time.Now()
		if a := here.Ask("GET", "/v1/kv/k?dc=dc2", ""); a.OK() || time.Since(begun) > 10*time.Millisecond {
			t.Errorf("a lost datacenter: %d after %s", a.Status, time.Since(begun))
		}
		if names := here.Datacenters(); len(names) != 2 {
			t.Errorf("datacenters: %v", names)
		}
		there.Addr = "10.0.2.77"
		there.Start()
		f.DC(1).Eventually("it is reached again", func() bool { return here.far(2, "k") == "v" })
		there.Quit()
		f.DC(1).Eventually("a datacenter that has left is gone", func() bool { return len(here.Datacenters()) == 1 })
		there.Start()
	})
}

// While one server of another datacenter is out of reach, the others are asked.
func TestAServerElsewhereIsReplaced(t *testing.T) {
	Federate(t, 2, 3, 0, "", func(f *Federation) {
		here := f.DC(1).Leader()
		f.DC(2).Leader().Put("k", "v")
		for _, n := range f.DC(2).Running() {
			n.Crash()
			f.DC(2).Leader()
			for range 10 {
				if a := here.Ask("GET", "/v1/kv/k?raw&dc=dc2", ""); a.Body != "v" {
					t.Errorf("without %s: %d %s", n.Name, a.Status, a.Body)
				}
				f.DC(1).Sleep(200 * time.Millisecond)
			}
			n.Start()
			f.Settled()
		}
	})
}

// Where UDP is dropped between datacenters, gossip over TCP keeps them together: nobody is taken for dead, a death is noticed
// as soon as elsewhere, and a cut is survived.
func TestFederationWithoutUDP(t *testing.T) {
	Federate(t, 3, 2, 0, `gossip_wan { transport = "tcp" }`, func(f *Federation) {
		f.NoPackets()
		f.Part(1, 2)
		f.DC(1).Sleep(2 * time.Minute)
		f.Net.HealAll()
		f.Settled()
		for range 300 {
			f.DC(1).Sleep(time.Second)
			for _, c := range f.All {
				for _, n := range c.servers() {
					if n.counted("/v1/agent/members?wan=1") != 6 {
						t.Fatalf("%s takes somebody for dead: %s", n.Name, n.Get("/v1/agent/members?wan=1"))
					}
				}
			}
		}
		dead := f.DC(2).Follower()
		dead.Kill()
		begun := time.Now()
		for _, dc := range []int{1, 3} {
			f.DC(dc).Eventually("a death is noticed", func() bool { return f.DC(dc).Leader().counted("/v1/agent/members?wan=1") == 5 })
		}
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("a death was noticed after %s", took)
		}
		dead.Start()
	})
}

// A datacenter that is slow harms nobody else: what is too much is turned away at once, and local requests stay quick.
func TestASlowDatacenterHarmsNobody(t *testing.T) {
	Federate(t, 3, 1, 0, "", func(f *Federation) {
		here, slow := f.DC(1).Leader(), f.DC(2).Leader()
		f.DC(3).Leader().Put("k", "v")
		here.far(2, "k")
		f.Net.Delay(slow.Addr, time.Second)
		const many = 3000
		answers := make(chan Answer, many)
		for i := range many {
			go func() { answers <- here.Ask("GET", fmt.Sprintf("/v1/kv/k%d?dc=dc2", i), "") }()
		}
		f.DC(1).Sleep(10 * time.Millisecond)
		early := len(answers)
		for range 20 {
			begun := time.Now()
			if a := here.Ask("PUT", "/v1/kv/local", "v"); !a.OK() || time.Since(begun) > 5*time.Millisecond {
				t.Errorf("a local write: %d after %s", a.Status, time.Since(begun))
			}
			begun = time.Now()
			if here.far(3, "k") != "v" || time.Since(begun) > 10*time.Millisecond {
				t.Errorf("a read of another datacenter took %s", time.Since(begun))
			}
		}
		count := map[int]int{}
		for range many {
			count[(<-answers).Status]++
		}
		if early < many/2 || count[http.StatusTooManyRequests] != early || count[http.StatusNotFound] != many-early {
			t.Errorf("%d answers at once; by status %v", early, count)
		}
	})
}

// With translate_wan_addrs what is in another datacenter is shown, and found over HTTP, at its WAN address.
func TestWANAddressesOfOtherDatacenters(t *testing.T) {
	Federate(t, 2, 1, 1, "translate_wan_addrs = true", func(f *Federation) {
		there := f.DC(2).Leader()
		body := `{"Node": "ext", "Address": "10.9.9.9", "TaggedAddresses": {"wan": "1.2.3.4"}, "Service": {"Service": "web", "Port": 80,
			"Address": "10.9.9.8", "TaggedAddresses": {"wan": {"Address": "1.2.3.5", "Port": 8080}}}}`
		if a := there.Ask("PUT", "/v1/catalog/register", body); !a.OK() {
			t.Fatal(a.Body)
		}
		for _, n := range f.DC(1).Running() {
			for path, want := range map[string][]string{
				"/v1/catalog/nodes": {`"Address":"1.2.3.4"`}, "/v1/catalog/node/ext": {`"Address":"1.2.3.4"`, `"Address":"1.2.3.5"`},
				"/v1/catalog/service/web": {`"Address":"1.2.3.4"`, `"ServiceAddress":"1.2.3.5"`, `"ServicePort":8080`},
				"/v1/health/service/web":  {`"Address":"1.2.3.4"`, `"Address":"1.2.3.5"`, `"Port":8080`},
			} {
				got := n.Ask("GET", path+"?dc=dc2", "")
				for _, w := range want {
					if !strings.Contains(got.Body, w) {
						t.Errorf("%s at %s lacks %s: %s", path, n.Name, w, got.Body)
					}
				}
				if got.Header.Get("X-Consul-Translate-Addresses") != "true" || strings.Contains(there.Get(path), `Address":"1.2.3.4",`) {
					t.Errorf("%s: %v, and at home %s", path, got.Header, there.Get(path))
				}
			}
		}
	})
}

// A prepared query that finds nothing here finds what there is in another datacenter, through every agent.
func TestAPreparedQueryFailsOver(t *testing.T) {
	Federate(t, 3, 1, 1, "", func(f *Federation) {
		for i, n := range []*Node{f.DC(1).Leader(), f.DC(3).Leader()} {
			status := []string{"critical", "passing"}[i]
			body := fmt.Sprintf(`{"Node": "ext%d", "Address": "10.9.9.9", "Service": {"Service": "web", "Port": 80}, "Check": {"CheckID": "c", "Name": "c", "Status": %q, "ServiceID": "web"}}`, i, status)
			if a := n.Ask("PUT", "/v1/catalog/register", body); !a.OK() {
				t.Fatal(a.Body)
			}
		}
		for name, failover := range map[string]string{"near": `"NearestN": 2`, "named": `"Datacenters": ["dc9", "dc2", "dc3"]`, "none": `"NearestN": 0`} {
			body := fmt.Sprintf(`{"Name": %q, "Service": {"Service": "web", "Failover": {%s}}, "DNS": {"TTL": "7s"}}`, name, failover)
			if a := f.DC(1).Leader().Ask("POST", "/v1/query", body); !a.OK() {
				t.Fatal(a.Body)
			}
		}
		for _, n := range f.DC(1).Running() {
			for _, name := range []string{"near", "named"} {
				got := n.Get("/v1/query/" + name + "/execute")
				if !strings.Contains(got, `"ext1"`) || !strings.Contains(got, `"Datacenter":"dc3"`) || !strings.Contains(got, `"TTL":"7s"`) || strings.Contains(got, `"Failovers":0`) {
					t.Errorf("%s at %s: %s", name, n.Name, got)
				}
			}
			if got := n.Get("/v1/query/none/execute"); !strings.Contains(got, `"Nodes":[]`) || !strings.Contains(got, `"Failovers":0`) {
				t.Errorf("without failover at %s: %s", n.Name, got)
			}
		}
	})
}

// A datacenter that is reached only through a third one is reached all the same.
func TestARequestGoesRoundACutLink(t *testing.T) {
	Federate(t, 3, 1, 1, "", func(f *Federation) {
		there := f.DC(3).Leader()
		there.Put("k", "v")
		f.Part(1, 3)
		for _, n := range f.DC(1).Running() {
			f.DC(1).Eventually("the way round is found", func() bool { return n.far(3, "k") == "v" })
			begun := time.Now()
			if a := n.Ask("PUT", "/v1/kv/"+n.Name+"?dc=dc3", "v"); !a.OK() || time.Since(begun) > 50*time.Millisecond {
				t.Errorf("%s writes: %d %s after %s", n.Name, a.Status, a.Body, time.Since(begun))
			}
			index := n.Ask("GET", "/v1/kv/k?dc=dc3", "").Header.Get("X-Consul-Index")
			done := make(chan string, 1)
			go func() { done <- n.Ask("GET", "/v1/kv/k?raw&dc=dc3&wait=20s&index="+index, "").Body }()
			f.DC(1).Sleep(2 * time.Second)
			there.Put("k", "by "+n.Name)
			begun = time.Now()
			if got := <-done; got != "by "+n.Name || time.Since(begun) > time.Second {
				t.Errorf("%s waited for %q, for %s", n.Name, got, time.Since(begun))
			}
			there.Put("k", "v")
		}
		f.Part(2, 3) // nobody reaches it now, and nobody sends a request in a circle
		f.DC(1).Eventually("there is no way", func() bool { return strings.HasPrefix(f.DC(1).Leader().far(3, "k"), "No path") })
	})
}

// The servers of another datacenter are replaced one after the other, and requests go on all the while, from everywhere.
func TestServersElsewhereAreReplacedOneByOne(t *testing.T) {
	Federate(t, 3, 1, 1, `autopilot { server_stabilization_time = "1s" }`, func(f *Federation) {
		there := f.DC(2)
		there.Add("dc2-s2", true)
		there.Add("dc2-s3", true)
		there.Eventually("three vote", func() bool { return len(there.Voters()) == 3 })
		f.Settled()
		var running sync.WaitGroup
		stop := make(chan struct{})
		for _, n := range slices.Concat(f.DC(1).Running(), f.DC(3).Running()) {
			running.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Millisecond):
					}
					value := fmt.Sprint(i)
					if a := n.Ask("PUT", "/v1/kv/of-"+n.Name+"?dc=dc2", value); !a.OK() {
						t.Errorf("%s writes %s: %d %s", n.Name, value, a.Status, a.Body)
					}
					if got := n.far(2, "of-"+n.Name); got != value {
						t.Errorf("%s wrote %s and read %q", n.Name, value, got)
					}
				}
			})
		}
		for i := range 3 {
			fresh := there.Add(fmt.Sprintf("dc2-s%d", i+4), true)
			there.Eventually("the new server votes", func() bool { return slices.Contains(there.Voters(), fresh.Name) })
			there.Node(fmt.Sprintf("dc2-s%d", i+1)).Quit()
			there.Eventually("three vote", func() bool { return len(there.Voters()) == 3 })
		}
		f.DC(1).Sleep(5 * time.Second)
		close(stop)
		running.Wait()
	})
}

// A prepared query leaves a datacenter whose machines have all lost power once that is noticed, and comes back.
func TestAPreparedQueryLeavesALostDatacenter(t *testing.T) {
	Federate(t, 3, 1, 1, "", func(f *Federation) {
		for i := range f.All[1:] {
			body := fmt.Sprintf(`{"Node": "ext%d", "Address": "10.9.9.9", "Service": {"Service": "web", "Port": 80}}`, i+2)
			if a := f.DC(i+2).Leader().Ask("PUT", "/v1/catalog/register", body); !a.OK() {
				t.Fatal(a.Body)
			}
		}
		body := `{"Name": "q", "Service": {"Service": "web", "Failover": {"Datacenters": ["dc2", "dc3"]}}}`
		if a := f.DC(1).Leader().Ask("POST", "/v1/query", body); !a.OK() {
			t.Fatal(a.Body)
		}
		const within = 10 * time.Second // two probes of the WAN's gossip
		answered := func(node string) {
			t.Helper()
			begun := time.Now()
			for _, n := range f.DC(1).Running() {
				f.DC(1).Eventually("the query gives "+node, func() bool { return strings.Contains(n.Get("/v1/query/q/execute"), `"`+node+`"`) })
			}
			if took := time.Since(begun); took > within {
				t.Errorf("the query gives %s after %s", node, took)
			}
		}
		answered("ext2")
		lost := f.DC(2).Running()
		for _, n := range lost {
			n.Kill()
		}
		answered("ext3")
		for _, n := range lost {
			n.Start()
		}
		f.DC(2).Leader()
		answered("ext2")
	})
}
