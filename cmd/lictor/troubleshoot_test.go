package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// finds runs a command until it ends with a code and has printed all texts; each state comes by itself.
func (a *realAgent) finds(code int, line string, texts ...string) {
	a.t.Helper()
	var got, out string
	defer func() {
		if a.t.Failed() {
			a.t.Logf("lictor %s: exit %s\n%s", line, got, out)
		}
	}()
	eventually(a.t, line, func() bool {
		n, printed, failed := a.lictor(strings.Fields(line)...)
		got, out = fmt.Sprint(n), printed+failed
		for _, text := range texts {
			if !strings.Contains(out, text) {
				return false
			}
		}
		return n == code
	})
}

func TestTroubleshootLeader(t *testing.T) {
	newRealAgent(t, `node_name = "lost"`).finds(1, "troubleshoot leader", "ok     the agent of node lost answers", "FOUND  no leader: this agent knows no server", "lictor join ADDRESS")
	newRealAgent(t, `node_name = "n" server = true`).finds(1, "troubleshoot leader", "waits to join a cluster", "bootstrap_expect")

	one := newRealAgent(t, `node_name = "a" server = true bootstrap_expect = 2`)
	one.finds(1, "troubleshoot leader", "no leader: bootstrap_expect is 2, and of the servers 1 are known: a at ", "lictor join ")
	two := newRealAgent(t, fmt.Sprintf(`node_name = "b" server = true bootstrap_expect = 2 retry_join = [%q]`, one.gate))
	client := newRealAgent(t, fmt.Sprintf(`node_name = "c" retry_join = [%q]`, one.gate))
	client.finds(1, "troubleshoot leader", "leads", "of 2 voters none may fail any more")
	if err := two.Stop(); err != nil {
		t.Fatal(err)
	}
	one.finds(1, "troubleshoot leader", "no leader: voters: ", "b at ", "does not answer", "operator raft recover")
	client.finds(1, "troubleshoot leader", "no leader: ")

	newRealAgent(t, oneServer).finds(0, "troubleshoot leader", "leads", "ok     1 servers are well, 1 of them with a vote", "does not outlive")
}

func TestTroubleshootServicesAndChecks(t *testing.T) {
	s := newRealAgent(t, oneServer+fmt.Sprintf(`services = [
		{ name = "web", port = 80 },
		{ name = "shut", address = "127.0.0.9", check = { id = "shut-tcp", tcp = "127.0.0.1:%d", interval = "1s" } },
		{ name = "silent", check = { id = "silent-ttl", ttl = "10ms" } },
		{ name = "fresh", check = { id = "fresh-ttl", ttl = "1h" } },
		{ name = "under_score" }]`, freePorts(t, 1)...)).leads()

	s.finds(0, "troubleshoot service web", "ok     1 of 1 instances of web can be given out", "answers web.service.consul with 127.0.0.1")
	s.finds(1, "troubleshoot service wep", `no service "wep" is registered`, "Was this meant: web?")
	s.finds(1, "troubleshoot service shut", "check shut-tcp of node s1 for service shut is critical", "connection refused", "Nothing listens at that address", "none of the 1 instances")
	r, err := http.NewRequest("PUT", "http://"+s.HTTPAddrs()[0].String()+"/v1/catalog/register", strings.NewReader(`{"Node":"odd","Address":"0.0.0.0","Service":{"Service":"nowhere"}}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer, err)
	}
	answer.Body.Close()
	s.finds(1, "troubleshoot service nowhere", "has the address 0.0.0.0, which leads nowhere")
	s.finds(1, "troubleshoot service under_score", `"under_score" is no host name`)

	s.finds(1, "troubleshoot check shut-tcp", "connection refused")
	s.finds(1, "troubleshoot check silent-ttl", "TTL expired", "PUT /v1/agent/check/pass/silent-ttl")
	s.finds(1, "troubleshoot check fresh-ttl", "Nobody has said yet that it passes: PUT /v1/agent/check/pass/fresh-ttl")
	s.finds(1, "troubleshoot check fresh-tt", `there is no check with the id "fresh-tt"`, "Was this meant: fresh-ttl?")
	s.finds(0, "troubleshoot check serfHealth", "is passing")

	s.finds(0, "maint -enable -service=web -reason=why")
	s.finds(1, "troubleshoot service web", "The service is in maintenance. On its node: lictor maint -disable -service=web")
	s.finds(1, "troubleshoot check _service_maintenance:web", `critical: "why"`)
}

// Whom nobody leads has a service that is not in the catalog; a lone client agent cannot even ask for it.
func TestTroubleshootWithoutLeader(t *testing.T) {
	s := newRealAgent(t, `node_name = "n" server = true service { name = "web" }`)
	s.finds(1, "troubleshoot service web", "the catalog does not answer", "lictor troubleshoot leader")
	s.finds(1, "troubleshoot check none", "the catalog does not answer")
}

func TestTroubleshootPorts(t *testing.T) {
	s := newRealAgent(t, oneServer)
	_, port, _ := strings.Cut(s.HTTPAddrs()[0].String(), ":")
	shut := freePorts(t, 1)[0]
	s.finds(0, fmt.Sprintf("troubleshoot ports -ports=%s,%d", port, shut), "TCP: Port "+port+" on 127.0.0.1 is open\n",
		fmt.Sprintf("TCP: Port %d on 127.0.0.1 is closed, unreachable, or the connection timed out.\n", shut))
	s.finds(1, fmt.Sprintf("troubleshoot ports -ports=%d -host=localhost", shut), "No port of localhost is open")
	s.finds(1, "troubleshoot ports -ports=http", `-ports has "http"`)
}

func TestDistance(t *testing.T) {
	for _, x := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"web", "wep", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 2}, {"same", "same", 0}} {
		if got := distance(x.a, x.b); got != x.want {
			t.Errorf("%q, %q: %d, want %d", x.a, x.b, got, x.want)
		}
	}
}
