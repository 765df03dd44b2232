package testcluster

import (
	"net/http"
	"strings"
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
