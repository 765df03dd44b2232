package testcluster

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// copying is the section that copies a prefix from a datacenter.
func copying(datacenter int, source, destination string) string {
	return fmt.Sprintf("kv_replication { datacenter = \"dc%d\" prefix { source = %q destination = %q exclude = [\"%[2]stmp/\"] } }", datacenter, source, destination)
}

// configure gives all servers of a datacenter a further piece of configuration, in the place of the last one, without a restart.
func (c *Cluster) configure(hcl string) {
	c.Helper()
	for _, n := range c.servers() {
		n.hcl = append(n.hcl[:1:1], hcl)
		if err := n.Reload(); err != nil {
			c.Fatalf("reload %s: %v", n.Name, err)
		}
	}
}

// A copied prefix is what /v1/operator/kv-replication tells of one.
type copied struct {
	State, LastError, Behind string
	Written, Deleted         int
}

// copies are the prefixes that a datacenter copies, as its leader tells.
func (c *Cluster) copies() []copied {
	c.Helper()
	var status struct{ Rules []copied }
	a := c.Leader().Ask("GET", "/v1/operator/kv-replication", "")
	if !a.OK() || json.Unmarshal([]byte(a.Body), &status) != nil {
		return nil
	}
	return status.Rules
}

// hasKeys waits until a datacenter has these keys below a prefix, each as "key=value", and no others.
func (c *Cluster) hasKeys(prefix string, want ...string) {
	c.Helper()
	c.Eventually(fmt.Sprintf("there is %v", want), func() bool { return strings.Join(c.keys(prefix), " ") == strings.Join(want, " ") })
}

func (c *Cluster) keys(prefix string) []string {
	var entries []struct {
		Key   string
		Value []byte
	}
	if json.Unmarshal([]byte(c.Leader().Get("/v1/kv/"+prefix+"?recurse")), &entries) != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Key+"="+string(e.Value))
	}
	return out
}

// Keys follow those of another datacenter: through changes and deletions, a link that is cut, another leader at either end,
// and a source that is taken back to an older state.
func TestKeysFollowAnotherDatacenter(t *testing.T) {
	Federate(t, 2, 3, 0, "", func(f *Federation) {
		there, here := f.DC(1), f.DC(2)
		ask := func(method, path, body string) Answer {
			a := there.Leader().Ask(method, path, body)
			if !a.OK() {
				t.Fatalf("%s %s: %d %s", method, path, a.Status, a.Body)
			}
			return a
		}
		for i := range 300 {
			there.Leader().Put(fmt.Sprintf("g/many/%03d", i), "v")
		}
		there.Leader().Put("g/tmp/x", "left")
		here.Leader().Put("copy/mine", "extra")
		here.configure(copying(1, "g/", "copy/"))
		here.Eventually("all is copied", func() bool { return len(here.keys("copy/")) == 300 })
		ask("DELETE", "/v1/kv/g/many/?recurse", "")
		there.Leader().Put("g/a", "1")
		here.hasKeys("copy/", "copy/a=1")
		archive := ask("GET", "/v1/snapshot", "").Body

		f.Part(1, 2)
		there.Leader().Put("g/b", "2")
		ask("DELETE", "/v1/kv/g/a", "")
		here.Eventually("the cut is told", func() bool { all := here.copies(); return len(all) == 1 && all[0].State == "failing" })
		f.Net.HealAll()
		here.hasKeys("copy/", "copy/b=2")

		old := here.Leader()
		old.Kill()
		there.Leader().Put("g/c", "3")
		here.hasKeys("copy/", "copy/b=2", "copy/c=3")
		if all := here.copies(); len(all) != 1 || all[0].Written != 1 || all[0].Deleted != 0 {
			t.Errorf("the next leader did not go on: %+v", all)
		}
		old.Start()
		f.Settled()
		gone := there.Leader()
		gone.Crash()
		there.Leader().PutAgain("g/d", "4")
		here.hasKeys("copy/", "copy/b=2", "copy/c=3", "copy/d=4")
		gone.Start()
		f.Settled()

		ask("PUT", "/v1/snapshot", archive)
		here.hasKeys("copy/", "copy/a=1")
		there.Leader().PutAgain("g/e", "5")
		here.hasKeys("copy/", "copy/a=1", "copy/e=5")
		here.configure("")
		here.Eventually("nothing is copied any more", func() bool { all := here.copies(); return all != nil && len(all) == 0 })
	})
}

// Three datacenters that are to copy a prefix in a circle find that out, and leave their keys alone until it is opened.
func TestCirclesOfDatacentersAreFound(t *testing.T) {
	Federate(t, 3, 1, 0, "", func(f *Federation) {
		f.DC(1).Leader().Put("g/a", "1")
		f.DC(2).configure(copying(1, "g/", "g/"))
		f.DC(3).configure(copying(2, "g/", "g/"))
		f.DC(3).hasKeys("g/", "g/a=1")
		f.DC(1).Leader().Put("g/b", "2")
		f.DC(1).configure(copying(3, "g/", "g/"))
		for i := range 3 {
			c := f.DC(i + 1)
			c.Eventually("it is told", func() bool {
				all := c.copies()
				return len(all) == 1 && all[0].State == "failing" && strings.HasPrefix(all[0].LastError, "a circle: ")
			})
		}
		f.DC(1).Leader().Put("g/c", "3")
		f.DC(1).Sleep(10 * time.Minute)
		f.DC(1).hasKeys("g/", "g/a=1", "g/b=2", "g/c=3")
		f.DC(1).configure("")
		for i := range 3 {
			f.DC(i+1).hasKeys("g/", "g/a=1", "g/b=2", "g/c=3")
		}
	})
}
