package testcluster

import (
	"encoding/json"
	"fmt"
	"testing"
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
