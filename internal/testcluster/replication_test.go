package testcluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// owned is the configuration of datacenters of which dc1 is the primary one. Each agent acts with a token of that.
func owned(copies bool, more string) string {
	return fmt.Sprintf(`primary_datacenter = "dc1" acl { enabled = true default_policy = "deny" enable_token_replication = %t %s
		tokens { initial_management = %[3]q agent = %[3]q default = %[3]q replication = %[3]q } }`, copies, more, management)
}

// made makes something and gives the fields of the answer.
func (n *Node) made(path, body string) map[string]any {
	n.cluster.Helper()
	a := n.Ask("PUT", path, body)
	var fields map[string]any
	if err := json.Unmarshal([]byte(a.Body), &fields); err != nil || !a.OK() {
		n.cluster.Fatalf("%s at %s: %d %s\n%s", path, n.Name, a.Status, a.Body, n.cluster.journals())
	}
	return fields
}

// newToken makes a token that may write keys, and gives accessor and secret.
func (n *Node) newToken(name string, local bool) (accessor, secret string) {
	n.cluster.Helper()
	n.made("/v1/acl/policy", fmt.Sprintf(`{"Name": %q, "Rules": "key_prefix \"\" { policy = \"write\" }"}`, name))
	n.cluster.Eventually("the policy is here", func() bool { return n.Ask("GET", "/v1/acl/policy/name/"+name, "").OK() })
	t := n.made("/v1/acl/token", fmt.Sprintf(`{"Local": %t, "Policies": [{"Name": %q}]}`, local, name))
	return t["AccessorID"].(string), t["SecretID"].(string)
}

// may tells what comes of a read with a token: 404 is that it may be made, as the key is not there.
func (n *Node) may(secret string) int { return n.Ask("GET", "/v1/kv/none?token="+secret, "").Status }

const granted = http.StatusNotFound

// indexes are those of all that is copied. They move with every write of it.
func (n *Node) indexes() string {
	var all []string
	for _, path := range []string{"/v1/acl/policies", "/v1/acl/roles", "/v1/acl/tokens", "/v1/config/service-defaults", "/v1/connect/intentions"} {
		all = append(all, n.Ask("GET", path, "").Header.Get("X-Consul-Index"))
	}
	return strings.Join(all, " ")
}

// replication is the status of the copying of ACLs.
type replication struct {
	Enabled, Running                                           bool
	SourceDatacenter, ReplicationType                          string
	ReplicatedIndex, ReplicatedRoleIndex, ReplicatedTokenIndex uint64
	LastSuccess, LastError                                     time.Time
	LastErrorMessage                                           string
}

func (n *Node) replication() replication {
	n.cluster.Helper()
	var s replication
	a := n.Ask("GET", "/v1/acl/replication", "")
	if err := json.Unmarshal([]byte(a.Body), &s); err != nil || !a.OK() {
		n.cluster.Fatalf("%d %s", a.Status, a.Body)
	}
	return s
}

// What the primary datacenter owns is there in others, changes there and goes from there; and where nothing has changed nothing is
// written, whoever leads.
func TestTheSecondaryHasWhatThePrimaryOwns(t *testing.T) {
	Federate(t, 2, 2, 1, owned(true, ""), func(f *Federation) {
		here, there := f.DC(1).Leader(), f.DC(2)
		accessor, secret := here.newToken("writers", false)
		role := here.made("/v1/acl/role", `{"Name": "r", "Policies": [{"Name": "writers"}]}`)["ID"].(string)
		byRole := here.made("/v1/acl/token", `{"Roles": [{"Name": "r"}]}`)["SecretID"].(string)
		for _, body := range []string{`{"Kind": "proxy-defaults", "Name": "global", "Config": {"protocol": "http"}}`, `{"Kind": "service-defaults", "Name": "web", "Protocol": "http"}`,
			`{"Kind": "service-splitter", "Name": "web", "Splits": [{"Weight": 100, "Service": "web"}]}`} {
			if a := here.Ask("PUT", "/v1/config", body); !a.OK() {
				t.Fatalf("%s: %d %s", body, a.Status, a.Body)
			}
		}
		if a := here.Ask("PUT", "/v1/connect/intentions/exact?source=a&destination=web", `{"Action": "allow"}`); !a.OK() {
			t.Fatalf("intention: %d %s", a.Status, a.Body)
		}
		for _, n := range there.Running() {
			there.Eventually("all of it is copied", func() bool {
				return n.may(secret) == granted && n.may(byRole) == granted && n.Ask("GET", "/v1/config/service-splitter/web", "").OK() &&
					strings.Contains(n.Get("/v1/connect/intentions"), `"SourceName":"a"`)
			})
		}
		follower := there.Follower()
		there.Eventually("the status says so", func() bool {
			s := follower.replication()
			return s.Enabled && s.Running && s.SourceDatacenter == "dc1" && s.ReplicationType == "tokens" && !s.LastSuccess.IsZero() &&
				fmt.Sprint(s.ReplicatedIndex) == here.Ask("GET", "/v1/acl/policies", "").Header.Get("X-Consul-Index") &&
				s.ReplicatedRoleIndex > 0 && s.ReplicatedTokenIndex > 0
		})
		if s := here.replication(); s != (replication{}) {
			t.Errorf("the primary datacenter copies: %+v", s)
		}

		before := follower.indexes()
		there.Sleep(10 * time.Minute)
		old := there.Leader()
		if a := old.Ask("POST", "/v1/operator/raft/transfer-leader", ""); !a.OK() {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		there.Eventually("another server leads, and copies", func() bool {
			return there.Leader() != old && follower.replication().Running && !follower.replication().LastSuccess.IsZero()
		})
		there.Sleep(5 * time.Minute)
		if after := follower.indexes(); after != before {
			t.Errorf("without any change indexes went from %s to %s", before, after)
		}

		here.made("/v1/acl/role/"+role, `{"Name": "r2"}`)
		if a := here.Ask("DELETE", "/v1/acl/token/"+accessor, ""); !a.OK() {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		here.Ask("DELETE", "/v1/config/service-splitter/web", "")
		for _, n := range there.Running() {
			there.Eventually("changes and deletions are copied", func() bool {
				return n.may(secret) == http.StatusForbidden && n.may(byRole) == http.StatusForbidden && n.Ask("GET", "/v1/config/service-splitter/web", "").Status == 404 &&
					n.Ask("GET", "/v1/acl/role/name/r2", "").OK()
			})
		}
	})
}

// What changes what the primary datacenter owns is carried out there. Local tokens are made where they are good, which is nowhere
// else.
func TestWritesOfASecondary(t *testing.T) {
	Federate(t, 2, 1, 1, owned(true, ""), func(f *Federation) {
		here, there := f.DC(1).Leader(), f.DC(2).Leader()
		for _, n := range f.DC(2).Running() {
			accessor, secret := n.newToken("by-"+n.Name, false)
			if status := here.may(secret); status != granted {
				t.Errorf("a token made at %s: %d", n.Name, status)
			}
			f.DC(2).Eventually("it is copied", func() bool { return n.may(secret) == granted })
			if changed := n.made("/v1/acl/token/"+accessor, `{"Description": "changed"}`); changed["Description"] != "changed" {
				t.Errorf("%v", changed)
			}
			if a := n.Ask("DELETE", "/v1/acl/token/"+accessor, ""); !a.OK() || here.may(secret) != http.StatusForbidden {
				t.Errorf("deleted at %s: %d %s", n.Name, a.Status, a.Body)
			}
			if a := n.Ask("PUT", "/v1/config", `{"Kind": "service-defaults", "Name": "`+n.Name+`", "Protocol": "grpc"}`); !a.OK() || !here.Ask("GET", "/v1/config/service-defaults/"+n.Name, "").OK() {
				t.Errorf("an entry written at %s: %d %s", n.Name, a.Status, a.Body)
			}
			if a := n.Ask("PUT", "/v1/connect/intentions/exact?source=a&destination="+n.Name, `{"Action": "deny"}`); !a.OK() || !strings.Contains(here.Get("/v1/connect/intentions"), n.Name) {
				t.Errorf("an intention written at %s: %d %s", n.Name, a.Status, a.Body)
			}
			if a := n.Ask("PUT", "/v1/acl/bootstrap", ""); a.Status != http.StatusForbidden {
				t.Errorf("bootstrap at %s: %d %s", n.Name, a.Status, a.Body)
			}
		}
		if a := here.Ask("PUT", "/v1/acl/policy?dc=dc2", `{"Name": "round"}`); !a.OK() || !here.Ask("GET", "/v1/acl/policy/name/round", "").OK() {
			t.Errorf("by way of the other datacenter: %d %s", a.Status, a.Body)
		}

		accessor, local := there.newToken("local", true)
		client := f.DC(2).Node("dc2-c1")
		f.DC(2).Sleep(3 * time.Minute)
		if there.may(local) != granted || client.may(local) != granted {
			t.Errorf("a local token is good for nothing: %d, %d", there.may(local), client.may(local))
		}
		for name, a := range map[string]Answer{
			"in the primary":       here.Ask("GET", "/v1/kv/none?token="+local, ""),
			"sent there":           there.Ask("GET", "/v1/kv/none?dc=dc1&token="+local, ""),
			"sent there by client": client.Ask("GET", "/v1/kv/none?dc=dc1&token="+local, ""),
			"to write a policy":    there.Ask("PUT", "/v1/acl/policy?token="+local, `{"Name": "x"}`),
		} {
			if a.Status != http.StatusForbidden || strings.Contains(a.Body, accessor) {
				t.Errorf("a local token of another datacenter, %s: %d %s", name, a.Status, a.Body)
			}
		}
		_, ours := here.newToken("ours", true)
		f.DC(2).Sleep(time.Minute)
		if got := there.may(ours); got != http.StatusForbidden {
			t.Errorf("a local token of the primary datacenter in the other one: %d", got)
		}
		if a := there.Ask("DELETE", "/v1/acl/token/"+accessor, ""); !a.OK() || there.may(local) != http.StatusForbidden {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		method := `{"Name": "m", "Type": "jwt", "TokenLocality": %q, "Config": {"JWTValidationPubKeys": ["x"]}}`
		if a := there.Ask("PUT", "/v1/acl/auth-method", fmt.Sprintf(method, "global")); a.OK() || !strings.Contains(a.Body, "TokenLocality") {
			t.Errorf("a global auth method: %d %s", a.Status, a.Body)
		}
	})
}

// Where tokens are not copied the primary datacenter is asked; while it is out of reach the down policy holds, and what is revoked
// meanwhile is denied within the TTL of the link's return.
func TestTokensOfThePrimaryWithoutCopies(t *testing.T) {
	for _, c := range []struct {
		policy         string
		heard, unheard int // what comes of tokens that have been heard of before the link broke, and of others
	}{
		{"allow", granted, granted},
		{"deny", http.StatusForbidden, http.StatusForbidden},
		{"extend-cache", granted, http.StatusInternalServerError},
		{"async-cache", granted, http.StatusInternalServerError},
	} {
		t.Run(c.policy, func(t *testing.T) {
			Federate(t, 2, 1, 1, owned(false, fmt.Sprintf("down_policy = %q", c.policy)), func(f *Federation) {
				here, there, client := f.DC(1).Leader(), f.DC(2).Leader(), f.DC(2).Node("dc2-c1")
				accessor, secret := here.newToken("writers", false)
				_, local := here.newToken("local", true)
				_, other := here.newToken("other", false)
				for _, n := range f.DC(2).Running() {
					if got := n.may(secret); got != granted {
						t.Fatalf("a token of the primary datacenter at %s: %d", n.Name, got)
					}
					for _, unknown := range []string{local, "5d1c4d1e-9a5e-4a0b-8a39-000000000000", "<hidden>"} {
						if got := n.may(unknown); got != http.StatusForbidden {
							t.Errorf("%s at %s: %d", unknown, n.Name, got)
						}
					}
					for _, dc := range []string{"", "dc=dc1&"} { // who owns a token need not know where it is kept
						if a := n.Ask("GET", "/v1/acl/token/self?"+dc+"token="+secret, ""); !a.OK() || !strings.Contains(a.Body, accessor) {
							t.Errorf("%s with %q: %d %s", n.Name, dc, a.Status, a.Body)
						}
					}
					if a := n.Ask("GET", "/v1/acl/token/self?dc=dc2&token="+secret, ""); a.Status != http.StatusForbidden {
						t.Errorf("%s shows a token that is not kept there: %d %s", n.Name, a.Status, a.Body)
					}
					if a := n.Ask("GET", "/v1/acl/token/self?token="+local, ""); a.Status != http.StatusForbidden {
						t.Errorf("%s shows a token that is good nowhere else: %d %s", n.Name, a.Status, a.Body)
					}
					if a := n.Ask("PUT", "/v1/acl/token", `{"Local": true}`); a.Status != 500 || a.Body != "Local tokens are disabled" {
						t.Errorf("%s: %d %s", n.Name, a.Status, a.Body)
					}
				}
				f.Part(1, 2)
				f.DC(2).Sleep(time.Minute) // twice the TTL
				for _, n := range []*Node{there, client} {
					if a := n.Ask("GET", "/v1/kv/none?token="+other, ""); c.policy == "deny" && !strings.Contains(a.Body, "down_policy") {
						t.Errorf("the denial does not say why: %s", a.Body)
					}
					if got := n.may(secret); got != c.heard {
						t.Errorf("%s: a token that was heard of, at %s: %d", c.policy, n.Name, got)
					}
					if got := n.may(other); got != c.unheard {
						t.Errorf("%s: a token that was never heard of, at %s: %d", c.policy, n.Name, got)
					}
				}
				if a := here.Ask("DELETE", "/v1/acl/token/"+accessor, ""); !a.OK() {
					t.Fatalf("%d %s", a.Status, a.Body)
				}
				f.Net.HealAll()
				f.DC(2).Eventually("the primary datacenter answers again", func() bool { return there.may(other) == granted && client.may(other) == granted })
				for _, n := range []*Node{there, client} {
					n.may(secret) // with async-cache this goes by what was last heard, once
				}
				f.DC(2).Sleep(31 * time.Second)
				for _, n := range []*Node{there, client} {
					if got := n.may(secret); got != http.StatusForbidden {
						t.Errorf("what was revoked, at %s: %d", n.Name, got)
					}
				}
			})
		})
	}
}

// A token that is revoked in the primary datacenter, or whose policy is changed there, is good for nothing elsewhere within its TTL,
// where tokens are copied and where they are not; who waits for an answer with it gets none.
func TestRevocationReachesTheSecondary(t *testing.T) {
	const ttl = 10 * time.Second
	for _, copies := range []bool{true, false} {
		t.Run(fmt.Sprint("copies ", copies), func(t *testing.T) {
			Federate(t, 2, 1, 1, owned(copies, fmt.Sprintf("token_ttl = %q policy_ttl = %[1]q", ttl)), func(f *Federation) {
				here := f.DC(1).Leader()
				f.DC(2).Leader().Put("there", "v")
				accessor, secret := here.newToken("writers", false)
				_, changed := here.newToken("readers", false)
				var waits []chan Answer
				for _, n := range f.DC(2).Running() {
					f.DC(2).Eventually("the tokens are good", func() bool { return n.may(secret) == granted && n.may(changed) == granted })
					index := n.Ask("GET", "/v1/kv/there?token="+secret, "").Header.Get("X-Consul-Index")
					done := make(chan Answer, 1)
					go func() { done <- n.Ask("GET", "/v1/kv/there?wait=25s&index="+index+"&token="+secret, "") }()
					waits = append(waits, done)
				}
				if a := here.Ask("DELETE", "/v1/acl/token/"+accessor, ""); !a.OK() {
					t.Fatalf("%d %s", a.Status, a.Body)
				}
				id := map[string]any{}
				if err := json.Unmarshal([]byte(here.Get("/v1/acl/policy/name/readers")), &id); err != nil {
					t.Fatal(err)
				}
				here.made("/v1/acl/policy/"+id["ID"].(string), `{"Name": "readers", "Rules": ""}`)
				f.DC(2).Sleep(ttl + 2*time.Second)
				for i, n := range f.DC(2).Running() {
					if a, b := n.may(secret), n.may(changed); a != http.StatusForbidden || b != http.StatusForbidden {
						t.Errorf("%s: %s after the revocation: %d, and after the change of the policy: %d", n.Name, ttl, a, b)
					}
					if a := <-waits[i]; a.Status != http.StatusForbidden {
						t.Errorf("%s: who waited got %d %s", n.Name, a.Status, a.Body)
					}
				}
			})
		})
	}
}

// Copying goes on after the link has been cut, after the leader of the primary datacenter and the server of the other one are
// others, and after the primary datacenter has gone back to an older state.
func TestCopyingGoesOn(t *testing.T) {
	Federate(t, 2, 2, 0, owned(true, ""), func(f *Federation) {
		there := f.DC(2)
		copied := func(what, name string) {
			t.Helper()
			there.Eventually(what, func() bool { return there.Leader().Ask("GET", "/v1/acl/policy/name/"+name, "").OK() })
		}
		policy := func(name string) { f.DC(1).Leader().made("/v1/acl/policy", `{"Name": "`+name+`"}`) }
		policy("first")
		copied("a policy is copied", "first")

		f.Part(1, 2)
		policy("cut")
		there.Eventually("the status tells that nothing comes", func() bool {
			s := there.Leader().replication()
			return s.LastError.After(s.LastSuccess) && s.LastErrorMessage != ""
		})
		if there.Leader().Ask("GET", "/v1/acl/policy/name/cut", "").OK() {
			t.Error("the link is not cut")
		}
		f.Net.HealAll()
		copied("what was made while the link was cut is copied", "cut")

		archive := f.DC(1).Leader().Get("/v1/snapshot")
		policy("undone")
		copied("what will be undone is copied", "undone")
		if a := f.DC(1).Leader().Ask("PUT", "/v1/snapshot", archive); !a.OK() {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		there.Eventually("what the primary datacenter no longer has is gone", func() bool {
			return there.Leader().Ask("GET", "/v1/acl/policy/name/undone", "").Status == 404
		})
		policy("redone")
		copied("copying goes on after the restore", "redone")

		if a := f.DC(1).Leader().Ask("POST", "/v1/operator/raft/transfer-leader", ""); !a.OK() {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		f.DC(1).Eventually("a policy can be made", func() bool { return f.DC(1).Leader().Ask("PUT", "/v1/acl/policy", `{"Name": "later"}`).OK() })
		copied("copying goes on with another leader", "later")

		archive = there.Leader().Get("/v1/snapshot")
		policy("after")
		copied("what this datacenter will lose is copied", "after")
		if a := there.Leader().Ask("PUT", "/v1/snapshot", archive); !a.OK() {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		copied("what a restore here took away is copied again", "after")

		for _, n := range there.Running() {
			n.Shutdown()
		}
		policy("meanwhile")
		for _, n := range there.all {
			n.Start()
		}
		copied("copying goes on after a restart", "meanwhile")
	})
}

// Without acl:write at the primary datacenter policies and roles are copied, tokens are not, and the status says why. What is shown
// in the place of a secret is good for nothing.
func TestReplicationTokenWithoutWrite(t *testing.T) {
	extra := `primary_datacenter = "dc1" acl { enabled = true default_policy = "allow" enable_token_replication = true tokens { initial_management = "` + management + `" } }`
	Federate(t, 2, 1, 0, extra, func(f *Federation) {
		here, there := f.DC(1).Leader(), f.DC(2).Leader()
		policy := here.made("/v1/acl/policy?token="+management, `{"Name": "replication", "Rules": "acl = \"read\""}`)["ID"].(string)
		secret := here.made("/v1/acl/token?token="+management, `{"Policies": [{"Name": "replication"}]}`)["SecretID"].(string)
		if a := there.Ask("PUT", "/v1/agent/token/replication", `{"Token": "`+secret+`"}`); !a.OK() {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		f.DC(2).Eventually("policies are copied, and the status tells why tokens are not", func() bool {
			s := there.replication()
			return s.ReplicatedIndex > 0 && s.ReplicatedTokenIndex == 0 && strings.Contains(s.LastErrorMessage, "acl:write")
		})
		for _, token := range []string{management, secret, "<hidden>"} {
			if a := there.Ask("GET", "/v1/acl/tokens?token="+token, ""); a.Status != http.StatusForbidden {
				t.Errorf("%s: %d %s", token, a.Status, a.Body)
			}
		}
		here.made("/v1/acl/policy/"+policy+"?token="+management, `{"Name": "replication", "Rules": "acl = \"write\""}`)
		f.DC(2).Eventually("with acl:write tokens are copied", func() bool { return there.Ask("GET", "/v1/acl/tokens?token="+management, "").OK() })
	})
}
