package testcluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const management = "3c9f7b0e-65f5-4a3e-9c0c-0a4f2d6c7d11"

const closed = `acl { enabled = true default_policy = "deny" tokens { initial_management = "` + management + `" agent = "` + management + `" default = "` + management + `" } }`

// A token that one agent has made is good at all others at once, although followers apply the log a moment later.
func TestNewTokenIsGoodEverywhere(t *testing.T) {
	Run(t, 3, 1, closed, func(c *Cluster) {
		maker := c.Leader()
		c.Eventually("the first token is there", func() bool { return maker.Ask("GET", "/v1/acl/tokens", "").OK() })
		for i := range 10 {
			a := maker.Ask("PUT", "/v1/acl/token", fmt.Sprintf(`{"Description": "%d", "NodeIdentities": [{"NodeName": "x", "Datacenter": "dc1"}]}`, i))
			var made struct{ SecretID string }
			if err := json.Unmarshal([]byte(a.Body), &made); err != nil || !a.OK() {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			for _, n := range c.Running() {
				if a := n.Ask("GET", "/v1/acl/token/self?token="+made.SecretID, ""); !a.OK() {
					t.Errorf("at %s: %d %s", n.Name, a.Status, a.Body)
				}
				if a := n.Ask("GET", "/v1/catalog/nodes?stale&token="+made.SecretID, ""); !a.OK() {
					t.Errorf("at %s, a stale read: %d %s", n.Name, a.Status, a.Body)
				}
			}
		}
		for _, n := range c.Running() {
			if a := n.Ask("GET", "/v1/catalog/nodes?token=00000000-1111-2222-3333-444444444444", ""); a.Status != 403 {
				t.Errorf("a token that nobody has made, at %s: %d %s", n.Name, a.Status, a.Body)
			}
		}
	})
}

// Whoever waits with a token that is revoked, or may see less from now on, is told so at once: at servers, at client agents
// and from other datacenters, and is shown nothing more of what was heard before.
func TestWaitsEndWithTheRights(t *testing.T) {
	Federate(t, 2, 2, 1, closed, func(f *Federation) {
		there := f.DC(2).Leader()
		made := func(path, body, field string) string {
			t.Helper()
			var row map[string]any
			if a := there.Ask("PUT", path, body); !a.OK() || json.Unmarshal([]byte(a.Body), &row) != nil {
				t.Fatalf("PUT %s: %d %s", path, a.Status, a.Body)
			}
			return row[field].(string)
		}
		there.PutAgain("k", "1")
		for _, n := range append(f.DC(1).Running(), f.DC(2).Running()...) {
			for _, narrowed := range []bool{false, true} {
				policy := made("/v1/acl/policy", `{"Name": "read", "Rules": "key \"k\" { policy = \"read\" }"}`, "ID")
				accessor := made("/v1/acl/token", `{"Policies": [{"Name": "read"}]}`, "AccessorID")
				var token struct{ SecretID string }
				if err := json.Unmarshal([]byte(there.Get("/v1/acl/token/"+accessor)), &token); err != nil {
					t.Fatal(err)
				}
				path := "/v1/kv/k?dc=dc2&token=" + token.SecretID
				for _, mode := range []string{"", "&cached"} {
					f.DC(1).Eventually("the token is good at "+n.Name, func() bool { return n.Ask("GET", path+mode, "").OK() })
				}
				index := n.Ask("GET", path, "").Header.Get("X-Consul-Index")
				modes := []string{"", "&stale", "&consistent", "&cached"}
				ended := make(chan Answer, len(modes))
				for _, mode := range modes {
					go func() { ended <- n.Ask("GET", path+"&wait=5m&index="+index+mode, "") }()
				}
				f.DC(1).Sleep(2 * time.Second)
				if len(ended) > 0 {
					a := <-ended
					t.Fatalf("%s: a read did not wait: %d %s", n.Name, a.Status, a.Body)
				}
				begin, want := time.Now(), "ACL not found"
				if narrowed {
					want = "Permission denied"
					made("/v1/acl/policy/"+policy, `{"Name": "read", "Rules": "key \"other\" { policy = \"read\" }"}`, "ID")
				} else if a := there.Ask("DELETE", "/v1/acl/token/"+accessor, ""); !a.OK() {
					t.Fatalf("%d %s", a.Status, a.Body)
				}
				for range modes {
					a := <-ended
					if took := time.Since(begin); a.Status != http.StatusForbidden || !strings.Contains(a.Body, want) || took > time.Second {
						t.Errorf("%s: a read that waits ends after %s with %d %s", n.Name, took, a.Status, a.Body)
					}
				}
				refused := func(a Answer) bool { return a.Status == http.StatusForbidden && strings.Contains(a.Body, want) }
				f.DC(1).Eventually("a stale read is refused, too, at "+n.Name, func() bool { // by a server that may be behind
					return refused(n.Ask("GET", path+"&stale", ""))
				})
				for _, mode := range []string{"", "&consistent", "&cached"} {
					if a := n.Ask("GET", path+mode, ""); !refused(a) {
						t.Errorf("%s, afterwards, %q: %d %s", n.Name, mode, a.Status, a.Body)
					}
				}
				there.Ask("DELETE", "/v1/acl/policy/"+policy, "")
			}
		}
	})
}
