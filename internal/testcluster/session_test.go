package testcluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// session creates a session through the agent, once its node is in the catalog.
func (n *Node) session(body string) string {
	n.cluster.Helper()
	var made struct{ ID string }
	n.cluster.Eventually("a session is created", func() bool {
		a := n.Ask("PUT", "/v1/session/create", body)
		return a.OK() && json.Unmarshal([]byte(a.Body), &made) == nil
	})
	return made.ID
}

// acquire tells whether the session got the lock.
func (n *Node) acquire(key, session string) bool {
	a := n.Ask("PUT", "/v1/kv/"+key+"?acquire="+session, session)
	return a.OK() && strings.TrimSpace(a.Body) == "true"
}

// renew tells whether the session was renewed, asking again while nobody leads.
func (n *Node) renew(session string) bool {
	n.cluster.Helper()
	var a Answer
	n.cluster.Eventually("a renewal is answered", func() bool {
		a = n.Ask("PUT", "/v1/session/renew/"+session, "")
		return a.Status < http.StatusInternalServerError
	})
	return a.OK()
}

// alive tells whether a session is there, and known whether there was an answer at all.
func (n *Node) alive(session string) (alive, known bool) {
	a := n.Ask("GET", "/v1/session/info/"+session+"?consistent", "")
	return strings.Contains(a.Body, session), a.OK()
}

// held is the lock on a key.
func (n *Node) held(key string) (lock struct {
	Session                string
	LockIndex, CreateIndex uint64
}) {
	var all []json.RawMessage
	if json.Unmarshal([]byte(n.Get("/v1/kv/"+key+"?consistent")), &all) == nil && len(all) == 1 {
		_ = json.Unmarshal(all[0], &lock)
	}
	return lock
}

// ends waits for the end of a session and tells how long it took from begin.
func (n *Node) ends(session string, begin time.Time) time.Duration {
	n.cluster.Helper()
	n.cluster.Eventually("the session ends", func() bool { alive, known := n.alive(session); return known && !alive })
	return time.Since(begin)
}

// A new leader gives every session its whole time again, and ends it at most a second after that.
func TestTTLAcrossLeaders(t *testing.T) {
	Run(t, 3, 1, "", func(c *Cluster) {
		client, ttl := c.Node("c1"), 10*time.Second
		for _, change := range []struct {
			name string
			harm func(leader *Node)
		}{
			{"crashed", func(leader *Node) { leader.Crash() }},
			{"vanished", func(leader *Node) { leader.Kill() }},
			{"handed over", func(leader *Node) { leader.Ask("POST", "/v1/operator/raft/transfer-leader", "") }},
			{"cut off", func(leader *Node) { c.Cut(leader) }},
		} {
			old, created := c.Leader(), time.Now()
			id := client.session(`{"Name": "` + change.name + `", "TTL": "10s", "LockDelay": "0s"}`)
			if !client.acquire("k", id) {
				t.Fatalf("%s: not locked", change.name)
			}
			c.Sleep(2*ttl - 2*time.Second)
			harmed := time.Now()
			change.harm(old)
			c.Eventually("another server leads", func() bool {
				for _, n := range c.Running() {
					if n != old && n.Server && n.Leads() {
						return true
					}
				}
				return false
			})
			led := time.Now()
			took := client.ends(id, led)
			t.Logf("%s: %s after its creation, %s after the harm, %s after the new leader was seen", change.name, time.Since(created),
				time.Since(harmed), took)
			if time.Since(harmed) < 2*ttl || took > 2*ttl+time.Second {
				t.Errorf("the leader was %s: ended %s after the harm, %s after the new leader was seen", change.name, time.Since(harmed), took)
			}
			if s := client.held("k").Session; s != "" {
				t.Errorf("%s: %s holds the lock", change.name, s)
			}
			c.Heal()
			if !old.runs {
				old.Start()
			}
			c.Settled()
		}
	})
}

// Renewals come through any agent, and count whoever leads.
func TestRenewalsThroughAnyAgent(t *testing.T) {
	Run(t, 3, 1, "", func(c *Cluster) {
		client := c.Node("c1")
		by := map[string]func() *Node{"leader": c.Leader, "follower": c.Follower, "client": func() *Node { return client }}
		ids := map[string]string{}
		for who := range by {
			ids[who] = client.session(`{"TTL": "10s"}`)
		}
		forgotten := client.session(`{"TTL": "10s"}`)
		for round := range 8 {
			c.Sleep(9 * time.Second)
			if round == 4 {
				leader := c.Leader()
				leader.Crash()
				defer leader.Start() // before all replicas are compared
			}
			for who, agent := range by {
				if !agent().renew(ids[who]) {
					t.Errorf("round %d: the session that is renewed by the %s is gone", round, who)
				}
			}
		}
		if client.renew(forgotten) {
			t.Error("what nobody renewed is still there")
		}
	})
}

// A holder that is cut off loses its lock, the next one waits for the lock delay, and what the old one then writes under its
// lock is refused.
func TestHolderCutOff(t *testing.T) {
	Run(t, 3, 2, "", func(c *Cluster) {
		old, next := c.Node("c1"), c.Node("c2")
		first := old.session(`{"TTL": "60s", "LockDelay": "5s"}`)
		if !old.acquire("k", first) {
			t.Fatal("not locked")
		}
		fence := old.held("k").LockIndex
		second := next.session(`{"LockDelay": "5s"}`)
		c.Cut(old)
		cut := time.Now()
		c.Eventually("the lock is free", func() bool { s := next.held("k").Session; return s == "" })
		freed := time.Now()
		c.Eventually("the lock is taken", func() bool { return next.acquire("k", second) })
		t.Logf("free %s after the cut, taken %s later", freed.Sub(cut), time.Since(freed))
		if wait := time.Since(freed); wait < 4900*time.Millisecond || wait > 6*time.Second {
			t.Errorf("taken %s after it was free, with a lock delay of 5s", wait)
		}
		if now := next.held("k"); now.LockIndex != fence+1 || now.Session != second {
			t.Errorf("fence %d, then %+v", fence, now)
		}
		c.Heal()
		c.Settled()
		write := fmt.Sprintf(`[{"KV": {"Verb": "check-session", "Key": "k", "Session": %q}}, {"KV": {"Verb": "set", "Key": "register", "Value": "eA=="}}]`, first)
		if a := old.Ask("PUT", "/v1/txn", write); a.Status != http.StatusConflict || !strings.Contains(a.Body, "failed session check") {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		if old.renew(first) || old.acquire("k", first) {
			t.Error("the old session is back")
		}
	})
}

// The death of a node frees its locks or deletes its keys in one commit, and the lock delay holds though the leader changes.
func TestNodeDeathWithLockDelay(t *testing.T) {
	Run(t, 3, 2, "", func(c *Cluster) {
		dying, other := c.Node("c1"), c.Node("c2")
		release := dying.session(`{"LockDelay": "20s"}`)
		remove := dying.session(`{"LockDelay": "20s", "Behavior": "delete"}`)
		for i := range 3 {
			if !dying.acquire(fmt.Sprintf("release/%d", i), release) || !dying.acquire(fmt.Sprintf("delete/%d", i), remove) {
				t.Fatal("not locked")
			}
		}
		mine := other.session(`{"LockDelay": "0s"}`)
		dying.Kill()
		begun := time.Now()
		other.ends(release, begun)
		ended := time.Now()
		var all []struct {
			Session     string
			ModifyIndex uint64
		}
		if err := json.Unmarshal([]byte(other.Get("/v1/kv/release?recurse&consistent")), &all); err != nil || len(all) != 3 {
			t.Fatalf("%v, %v", all, err)
		}
		for _, e := range all {
			if e.Session != "" || e.ModifyIndex != all[0].ModifyIndex {
				t.Errorf("not in one commit: %+v", all)
			}
		}
		if a := other.Ask("GET", "/v1/kv/delete?recurse&consistent", ""); a.Status != http.StatusNotFound {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		leader := c.Leader()
		leader.Crash()
		c.Eventually("the locks are taken", func() bool { return other.acquire("release/0", mine) && other.acquire("delete/0", mine) })
		if wait := time.Since(ended); wait < 19*time.Second || wait > 22*time.Second {
			t.Errorf("taken %s after the session's end, with a lock delay of 20s", wait)
		}
		if got := other.held("release/0").LockIndex; got != 2 {
			t.Errorf("LockIndex %d", got)
		}
		leader.Start()
		c.Settled()
	})
}

// Transactions that only read are as fresh as they are asked to be, at any agent; and none is half carried out.
func TestTransactionsEverywhere(t *testing.T) {
	Run(t, 3, 1, "", func(c *Cluster) {
		read := `[{"KV": {"Verb": "get", "Key": "a"}}, {"KV": {"Verb": "get-tree", "Key": "a"}}]`
		for i, n := range c.Running() {
			value := fmt.Sprintf("%q", []string{"MA==", "MQ==", "Mg==", "Mw=="}[i])
			if a := n.Ask("PUT", "/v1/txn", `[{"KV": {"Verb": "set", "Key": "a", "Value": `+value+`}}]`); !a.OK() {
				t.Fatalf("%s: %d %s", n.Name, a.Status, a.Body)
			}
			half := `[{"KV": {"Verb": "set", "Key": "half", "Value": "eA=="}}, {"KV": {"Verb": "check-index", "Key": "a", "Index": 1}}]`
			if a := n.Ask("PUT", "/v1/txn", half); a.Status != http.StatusConflict || !strings.Contains(a.Body, `"OpIndex":1`) {
				t.Errorf("%s: %d %s", n.Name, a.Status, a.Body)
			}
			if v, err := n.Value("half", "consistent"); v != "" || err != nil {
				t.Errorf("half carried out: %q, %v", v, err)
			}
			for _, reader := range c.Running() {
				for _, mode := range modes {
					a := reader.Ask("PUT", "/v1/txn?"+mode, read)
					if !a.OK() || strings.Count(a.Body, `"Value":`+value) != 2 || !strings.Contains(a.Body, `"KnownLeader":true`) {
						t.Errorf("written at %s, read at %s with mode %q: %d %s", n.Name, reader.Name, mode, a.Status, a.Body)
					}
				}
			}
		}
		alone := c.Follower()
		c.Cut(alone)
		c.Leader().Put("a", "new")
		c.Eventually("it knows of no leader", func() bool {
			a := alone.Ask("PUT", "/v1/txn?stale", read)
			return a.OK() && strings.Count(a.Body, `"Value":"Mw=="`) == 2 && strings.Contains(a.Body, `"KnownLeader":false`) &&
				a.Header.Get("X-Consul-Knownleader") == "false"
		})
		for _, mode := range modes {
			if a := alone.Ask("PUT", "/v1/txn?"+mode, read); a.Status != http.StatusInternalServerError || !strings.HasPrefix(a.Body, "No cluster leader") {
				t.Errorf("cut off, mode %q: %d %s", mode, a.Status, a.Body)
			}
		}
		if a := alone.Ask("PUT", "/v1/txn?stale&consistent", read); a.Status != http.StatusBadRequest {
			t.Errorf("both modes: %d %s", a.Status, a.Body)
		}
	})
}
