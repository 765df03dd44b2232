//go:build chaos

package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A watchmaker is three datacenters with ACLs and TLS whose clocks are hours apart: dc1, which owns the tokens and has three servers
// and two client agents with certificates of auto_encrypt, and a server each of dc2 and dc3.
type watchmaker struct {
	*cluster
	servers1      []*agent // of dc1
	behind, ahead *agent   // clients of dc1
	early, late   *agent   // dc2, whose clock is ahead of dc1's, and dc3, whose is behind
	root          string   // token that may do all
}

// The clocks, compared with the machine's. The one that is ahead most is so by more than two thirds of a certificate's time.
const (
	clientBehind = -7 * time.Hour
	clientAhead  = 60 * time.Hour
	serverEarly  = 9 * time.Hour
	serverLate   = -9 * time.Hour
	certsBegin   = -240 * time.Hour // the operator's
)

// newWatchmaker starts all agents and waits until each takes a write.
func newWatchmaker(t *testing.T) *watchmaker {
	t.Helper()
	program := buildWrong(t)
	n, dir := newNetwork(t), workDir(t, "clocks")
	w := &watchmaker{cluster: &cluster{network: n, dir: dir, http: n.http(30 * time.Second)}, root: "5e1f8b6a-0f4b-4b0e-9a64-2f3f0a0c0001"}
	old := newClock(t, program, filepath.Join(dir, "certs.clock"), certsBegin)
	w.certify(t, old, "ca", "create")
	var hosts []*host
	for _, name := range []string{"s1", "s2", "s3", "c1", "c2", "s4", "s5"} {
		hosts = append(hosts, n.addHost(t, name))
	}
	add := func(h *host, dc string, wrong time.Duration, more map[string]any) *agent {
		conf := map[string]any{
			"datacenter": dc, "primary_datacenter": "dc1", "log_level": "DEBUG",
			"acl": map[string]any{"enabled": true, "default_policy": "deny", "enable_token_replication": true, "tokens": map[string]any{
				"initial_management": w.root, "agent": w.root, "replication": w.root}},
			"ports": map[string]any{"dns": 8600, "serf_wan": -1, "grpc": -1, "grpc_tls": -1},
		}
		for k, v := range more {
			conf[k] = v
		}
		a := newAgent(t, h, dir, conf)
		a.clock = newClock(t, program, filepath.Join(dir, h.name+".clock"), wrong)
		return a
	}
	server := func(h *host, dc string, wrong time.Duration, more map[string]any) *agent {
		cert := w.certify(t, old, "cert", "create", "-server", "-dc", dc)
		more["server"], more["retry_interval_wan"] = true, "500ms"
		more["ports"] = map[string]any{"dns": 8600, "serf_wan": 8302, "grpc": -1, "grpc_tls": -1}
		more["auto_encrypt"] = map[string]any{"allow_tls": true}
		more["tls"] = map[string]any{"defaults": map[string]any{"ca_file": w.path("consul-agent-ca.pem"), "cert_file": cert + ".pem", "key_file": cert + "-key.pem",
			"verify_incoming": true, "verify_outgoing": true}, "internal_rpc": map[string]any{"verify_server_hostname": true}}
		return add(h, dc, wrong, more)
	}
	client := func(h *host, wrong time.Duration) *agent {
		return add(h, "dc1", wrong, map[string]any{"retry_join": []string{hosts[0].address}, "auto_encrypt": map[string]any{"tls": true},
			"tls": map[string]any{"defaults": map[string]any{"ca_file": w.path("consul-agent-ca.pem"), "verify_outgoing": true}}})
	}
	for _, h := range hosts[:3] {
		w.servers1 = append(w.servers1, server(h, "dc1", 0, map[string]any{"bootstrap_expect": 3, "retry_join": []string{hosts[0].address}}))
	}
	w.behind, w.ahead = client(hosts[3], clientBehind), client(hosts[4], clientAhead)
	join := []string{hosts[0].address}
	w.early = server(hosts[5], "dc2", serverEarly, map[string]any{"bootstrap": true, "retry_join_wan": join})
	w.late = server(hosts[6], "dc3", serverLate, map[string]any{"bootstrap": true, "retry_join_wan": join,
		"kv_replication": []any{map[string]any{"datacenter": "dc1", "token": w.root, "write_token": w.root, "prefix": []any{map[string]any{"source": "copied/"}}}}})
	w.servers, w.client = append(slices.Clone(w.servers1), w.early, w.late, w.behind), w.ahead
	for _, a := range w.all() {
		if err := a.start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.kill)
	}
	for _, a := range w.all() {
		w.await(t, a.name+" takes a write", time.Minute, func() error { return w.do(a, "PUT", "/v1/kv/ready?token="+w.root, "1", nil) })
	}
	return w
}

// certify runs `lictor tls` with a clock, and returns the path of the certificate without its ending.
func (w *watchmaker) certify(t *testing.T, c *clock, args ...string) string {
	t.Helper()
	cmd := c.command(append([]string{"tls"}, args...)...)
	cmd.Dir = w.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	made, err := filepath.Glob(w.path("*-server-consul-*-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	var newest string
	var at time.Time
	for _, path := range made {
		if info, err := os.Stat(path); err == nil && info.ModTime().After(at) {
			newest, at = path, info.ModTime()
		}
	}
	return strings.TrimSuffix(newest, "-key.pem")
}

func (w *watchmaker) path(name string) string { return filepath.Join(w.dir, name) }

// do makes a request that has to succeed.
func (w *watchmaker) do(a *agent, method, path, body string, into any) error {
	status, answer, err := w.call(method, a.url()+path, body)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s %s at %s: %d %s", method, path, a.name, status, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// must is do that fails the test.
func (w *watchmaker) must(t *testing.T, a *agent, method, path, body string, into any) {
	t.Helper()
	if err := w.do(a, method, path, body, into); err != nil {
		t.Fatal(err)
	}
}

// await waits until try finds nothing wrong.
func (w *watchmaker) await(t *testing.T, what string, patience time.Duration, try func() error) {
	t.Helper()
	begun := time.Now()
	for err := try(); err != nil; err = try() {
		if time.Since(begun) > patience {
			t.Fatalf("not within %s: %s: %v", patience, what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("%s: after %s", what, time.Since(begun).Round(time.Millisecond))
}

// refused is an error unless an agent refuses a token as one that there is not.
func (w *watchmaker) refused(a *agent, secret string) error {
	status, answer, err := w.call("GET", a.url()+"/v1/kv/ready?token="+secret, "")
	if err != nil || status != http.StatusForbidden || !strings.Contains(string(answer), "ACL not found") {
		return fmt.Errorf("%s answers %d %s (%w)", a.name, status, answer, err)
	}
	return nil
}

// good is an error unless an agent takes a token.
func (w *watchmaker) good(a *agent, secret string) error {
	return w.do(a, "GET", "/v1/kv/ready?token="+secret, "", nil)
}

// token makes a token that ends.
func (w *watchmaker) token(t *testing.T, ttl time.Duration) (secret string) {
	t.Helper()
	var made struct{ SecretID string }
	w.must(t, w.servers1[0], "PUT", "/v1/acl/token?token="+w.root, fmt.Sprintf(`{"ExpirationTTL": %q, "Policies": [{"Name": "keys"}]}`, ttl), &made)
	return made.SecretID
}

// leads is the server of dc1 that leads.
func (w *watchmaker) leads(t *testing.T) *agent {
	t.Helper()
	var address string
	w.must(t, w.servers1[0], "GET", "/v1/status/leader?token="+w.root, "", &address)
	for _, a := range w.servers1 {
		if strings.HasPrefix(address, a.address+":") {
			return a
		}
	}
	t.Fatalf("nobody leads: %q", address)
	return nil
}

// Clocks may be wrong by hours, and may be set while agents run. What is measured does not notice, what is a moment by contract
// holds by the clock of who decides, and what cannot work says why.
func TestFederationClocks(t *testing.T) {
	w := newWatchmaker(t)
	w.must(t, w.servers1[0], "PUT", "/v1/acl/policy?token="+w.root, `{"Name": "keys", "Rules": "key_prefix \"\" { policy = \"read\" }"}`, nil)
	long, short, begun := w.token(t, 20*time.Hour), w.token(t, time.Minute), time.Now()
	t.Run("requests", w.requests)
	t.Run("copies", w.copies)
	t.Run("tokens", func(t *testing.T) { w.tokens(t, long, short, begun) })
	t.Run("times while clocks differ", func(t *testing.T) { w.times(t, func(int) {}) })
	t.Run("the token that ends", func(t *testing.T) { w.over(t, long, short, begun) })
	leader := w.leads(t)
	t.Run("times while clocks are set", func(t *testing.T) {
		w.times(t, func(i int) {
			for j, a := range w.all() {
				jump := time.Duration(i+1) * 3 * time.Hour
				if (i+j)%2 == 1 {
					jump = -jump
				}
				a.clock.set(t, jump)
			}
		})
	})
	if now := w.leads(t); now != leader {
		t.Errorf("%s led before clocks were set, and %s after it", leader.name, now.name)
	}
	t.Run("requests after that", w.requests)
	t.Run("a clock that no certificate is good for", w.foreign)
	for _, text := range append(w.ended(), w.suspicious()...) {
		t.Error(text)
	}
}

// requests asks each agent for something of each datacenter, in all ways.
func (w *watchmaker) requests(t *testing.T) {
	for _, a := range w.all() {
		for _, dc := range []string{"dc1", "dc2", "dc3"} {
			w.await(t, a.name+" reaches "+dc, 30*time.Second, func() error {
				return w.do(a, "PUT", "/v1/kv/here?dc="+dc+"&token="+w.root, a.name, nil)
			})
			for _, how := range []string{"", "&consistent", "&stale"} {
				r, err := w.http.Get(a.url() + "/v1/kv/here?raw&dc=" + dc + "&token=" + w.root + how)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(r.Body)
				_ = r.Body.Close()
				if err != nil || r.StatusCode != http.StatusOK || string(body) != a.name && how != "&stale" {
					t.Errorf("%s reads %s of %s: %d %q %v", a.name, how, dc, r.StatusCode, body, err)
				}
				if ms := r.Header.Get("X-Consul-LastContact"); len(ms) > 4 {
					t.Errorf("%s reads %s of %s: last contact %s ms ago", a.name, how, dc, ms)
				}
			}
		}
	}
	// Who waits is not woken, and does not wait longer.
	for _, a := range []*agent{w.behind, w.ahead, w.early} {
		r, err := w.http.Get(a.url() + "/v1/kv/ready?dc=dc1&token=" + w.root)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		begun := time.Now()
		w.must(t, a, "GET", "/v1/kv/ready?dc=dc1&wait=1s&index="+r.Header.Get("X-Consul-Index")+"&token="+w.root, "", nil)
		if took := time.Since(begun); took < time.Second || took > 5*time.Second {
			t.Errorf("%s waits a second for %s", a.name, took)
		}
	}
}

// copies writes what other datacenters copy.
func (w *watchmaker) copies(t *testing.T) {
	w.must(t, w.behind, "PUT", "/v1/acl/role?token="+w.root, `{"Name": "reader", "Policies": [{"Name": "keys"}]}`, nil)
	w.must(t, w.behind, "PUT", "/v1/config?token="+w.root, `{"Kind": "service-defaults", "Name": "web", "Protocol": "http"}`, nil)
	w.must(t, w.behind, "PUT", "/v1/kv/copied/key?token="+w.root, "value", nil)
	for _, a := range []*agent{w.early, w.late} {
		w.await(t, a.name+" has copies", 30*time.Second, func() error {
			if err := w.do(a, "GET", "/v1/acl/role/name/reader?token="+w.root, "", nil); err != nil {
				return err
			}
			return w.do(a, "GET", "/v1/config/service-defaults/web?token="+w.root, "", nil)
		})
	}
	w.await(t, "a key is copied", 30*time.Second, func() error { return w.do(w.late, "GET", "/v1/kv/copied/key?token="+w.root, "", nil) })
}

// tokens looks at two tokens of dc1, of which one ends soon: for dc2 it has already, for dc3 that is hours away.
func (w *watchmaker) tokens(t *testing.T, long, short string, begun time.Time) {
	for _, a := range w.all() {
		w.await(t, a.name+" takes a token that lives long", 30*time.Second, func() error { return w.good(a, long) })
		if a != w.early {
			w.await(t, a.name+" takes a token that ends soon", 30*time.Second, func() error { return w.good(a, short) })
		}
	}
	if err := w.refused(w.early, short); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > 50*time.Second {
		t.Errorf("all this took %s: the token may have ended", took)
	}
	// What has ended for dc2 is not copied again and again.
	index := func() (last uint64) {
		var status struct{ LastSuccess, LastError string }
		w.must(t, w.early, "GET", "/v1/acl/replication?token="+w.root, "", &status)
		if status.LastSuccess == "" {
			t.Errorf("dc2 has copied nothing: %+v", status)
		}
		r, err := w.http.Get(w.early.url() + "/v1/acl/tokens?token=" + w.root)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		_, _ = fmt.Sscan(r.Header.Get("X-Consul-Index"), &last)
		return last
	}
	before := index()
	time.Sleep(3 * time.Second) // during which it would be
	if after := index(); after != before {
		t.Errorf("tokens of dc2 have changed, from index %d to %d", before, after)
	}
}

// over waits until the token has ended that ends soon.
func (w *watchmaker) over(t *testing.T, long, short string, begun time.Time) {
	if left := time.Minute - time.Since(begun); left > 2*time.Second {
		if err := w.good(w.servers1[0], short); err != nil {
			t.Errorf("%s before its end: %v", left, err)
		}
		time.Sleep(left)
	}
	for _, a := range w.all() {
		w.await(t, a.name+" refuses a token that has ended", 10*time.Second, func() error { return w.refused(a, short) })
		if err := w.good(a, long); err != nil {
			t.Error(err)
		}
	}
}

// The times that are measured.
const (
	sessionTTL = 10 * time.Second
	keyTTL     = 4 * time.Second
	checkTTL   = 4 * time.Second
	slack      = 8 * time.Second // by which something may end late
)

// times looks at what ends after a time, and at what does not as it is renewed. Something is done four times meanwhile.
func (w *watchmaker) times(t *testing.T, meanwhile func(i int)) {
	hold := func(key, ttl string) (session string) {
		var made struct{ ID string }
		w.must(t, w.behind, "PUT", "/v1/session/create?token="+w.root, fmt.Sprintf(`{"TTL": %q, "LockDelay": "0s"}`, ttl), &made)
		var got bool
		w.must(t, w.ahead, "PUT", "/v1/kv/"+key+"?acquire="+made.ID+"&token="+w.root, "held", &got)
		if !got {
			t.Fatalf("%s is not acquired", key)
		}
		return made.ID
	}
	begun := time.Now()
	hold("left", sessionTTL.String())
	kept := hold("kept", sessionTTL.String())
	w.must(t, w.ahead, "PUT", "/v1/kv/brief?ttl="+keyTTL.String()+"&token="+w.root, "v", nil)
	w.must(t, w.behind, "PUT", "/v1/agent/check/register?token="+w.root, fmt.Sprintf(`{"ID": "beat", "Name": "beat", "TTL": %q}`, checkTTL), nil)
	w.must(t, w.behind, "PUT", "/v1/agent/check/pass/beat?token="+w.root, "", nil)
	ends := map[string]time.Time{}
	note := func(what string, over bool) {
		if _, ok := ends[what]; over && !ok {
			ends[what] = time.Now()
		}
	}
	for i, next := 0, begun; time.Since(begun) < 2*sessionTTL+slack && len(ends) < 3; time.Sleep(100 * time.Millisecond) {
		if i < 4 && time.Now().After(next) {
			meanwhile(i)
			i, next = i+1, next.Add(2*time.Second)
			w.must(t, w.behind, "PUT", "/v1/session/renew/"+kept+"?token="+w.root, "", nil)
		} else if time.Now().After(next) {
			next = next.Add(2 * time.Second)
			w.must(t, w.behind, "PUT", "/v1/session/renew/"+kept+"?token="+w.root, "", nil)
		}
		var held []struct{ Session string }
		w.must(t, w.ahead, "GET", "/v1/kv/left?token="+w.root, "", &held)
		note("session", held[0].Session == "")
		status, _, err := w.call("GET", w.ahead.url()+"/v1/kv/brief?token="+w.root, "")
		note("key", err == nil && status == http.StatusNotFound)
		var checks map[string]struct{ Status string }
		w.must(t, w.behind, "GET", "/v1/agent/checks?token="+w.root, "", &checks)
		note("check", checks["beat"].Status == "critical")
		w.must(t, w.ahead, "GET", "/v1/kv/kept?token="+w.root, "", &held)
		if held[0].Session != kept {
			t.Fatalf("a session that is renewed has ended after %s", time.Since(begun))
		}
	}
	w.must(t, w.behind, "PUT", "/v1/session/destroy/"+kept+"?token="+w.root, "", nil)
	for what, bounds := range map[string][2]time.Duration{
		"session": {sessionTTL, 2*sessionTTL + slack}, "key": {keyTTL, keyTTL + slack}, "check": {checkTTL, checkTTL + slack},
	} {
		at, ok := ends[what]
		if took := at.Sub(begun); !ok || took < bounds[0] || took > bounds[1] {
			t.Errorf("%s: over (%v) after %s, not between %s and %s", what, ok, took, bounds[0], bounds[1])
		} else {
			t.Logf("%s: over after %s", what, took.Round(10*time.Millisecond))
		}
	}
}

// foreign starts a client agent anew whose clock lies before the time of all certificates, which it has to say.
func (w *watchmaker) foreign(t *testing.T) {
	for _, a := range []*agent{w.behind, w.ahead} {
		if n := w.logged(t, a, "this agent has a certificate"); n < 1 || n > 2 {
			t.Errorf("%s was given %d certificates", a.name, n)
		}
	}
	w.behind.kill()
	w.behind.clock.set(t, 2*certsBegin)
	if err := w.behind.start(); err != nil {
		t.Fatal(err)
	}
	w.await(t, "it says what is wrong with the certificates", 30*time.Second, func() error {
		if w.logged(t, w.behind, "certificate has expired or is not yet valid: current time") == 0 {
			return fmt.Errorf("not in %s", w.behind.log)
		}
		return nil
	})
	w.behind.clock.set(t, 0)
	w.await(t, "it works when its clock is right", time.Minute, func() error { return w.do(w.behind, "PUT", "/v1/kv/ready?token="+w.root, "1", nil) })
}

// logged counts lines of an agent's log.
func (w *watchmaker) logged(t *testing.T, a *agent, text string) (n int) {
	t.Helper()
	content, err := os.ReadFile(a.log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(content), text)
}
