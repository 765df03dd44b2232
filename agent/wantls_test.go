package agent

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// overTLS is the configuration of a server whose WAN gossip travels over TLS.
func (v *vault) overTLS(hcl ...string) []string {
	return append([]string{v.hcl(), fmt.Sprintf(`datacenter = %q gossip_wan { transport = "tls" probe_interval = "500ms" probe_timeout = "200ms" }
		retry_interval_wan = "200ms"`, v.dc)}, hcl...)
}

// seen counts the members of the WAN that are alive.
func (s *subject) seen() int { return strings.Count(s.get("/v1/agent/members?wan=1"), `"Status":1`) }

// One port joins two datacenters. Who has no certificate of a server does not become a member, though it has one of the
// authority.
func TestWANOverTLS(t *testing.T) {
	v := newVault(t)
	other := newBranch(t, "dc2", v.ca)
	a := start(t, t.TempDir(), v.overTLS()...)
	join := fmt.Sprintf("retry_join_wan = [%q]", a.rpcAddr())
	b := start(t, t.TempDir(), other.overTLS(join)...)
	for _, s := range []*subject{a, b} {
		s.eventually("both see both", func() bool { return s.seen() == 2 })
		closed := fmt.Sprintf("127.0.0.1:%d", s.cfg.Network.Ports.SerfWAN)
		if conn, err := net.Dial("tcp", closed); err == nil {
			conn.Close()
			t.Errorf("%s is open", closed)
		}
		if l, err := net.ListenPacket("udp", closed); err != nil {
			t.Errorf("UDP is open: %v", err)
		} else {
			l.Close()
		}
	}
	if port := fmt.Sprintf(`"Port":%d`, b.cfg.Network.Ports.Server); !strings.Contains(a.get("/v1/agent/members?wan=1"), port) {
		t.Errorf("members are not shown with the port at which they are reached: %s", a.get("/v1/agent/members?wan=1"))
	}
	b.put("/v1/kv/k", "v")
	a.eventually("requests pass", func() bool { return a.get("/v1/kv/k?raw&dc=dc2") == "v" })

	impostor := newBranch(t, "dc3", v.ca)
	impostor.place("client")
	stranger := newBranch(t, "dc4", newVault(t).ca)
	for _, x := range []*vault{impostor, stranger} {
		s := start(t, t.TempDir(), x.overTLS(join)...)
		s.eventually("it is refused and says so", func() bool { return strings.Contains(s.log.String(), "failed to join the cluster") })
		if a.seen() != 2 || s.seen() != 1 {
			t.Errorf("%s: it has become a member", x.dc)
		}
	}
	if !strings.Contains(a.log.String(), "gossip on this port is for servers, over TLS: the certificate is not that of a server") {
		t.Error("the log does not say why the client was refused")
	}

	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	a.eventually("a death is noticed", func() bool { return strings.Contains(a.get("/v1/agent/members?wan=1"), `"Status":4`) })
}

// While the setting is changed, server by server, those that have it and those that do not yet are members of one WAN.
func TestWANTransportsMix(t *testing.T) {
	v := newVault(t)
	var all []*subject
	for i, transport := range []string{"udp", "tcp", "tls"} {
		site := newBranch(t, fmt.Sprintf("dc%d", i+1), v.ca)
		hcl := []string{site.hcl(), fmt.Sprintf(`datacenter = %q gossip_wan { transport = %q probe_interval = "500ms" } retry_interval_wan = "200ms"`, site.dc, transport)}
		if i == 1 {
			hcl = append(hcl, fmt.Sprintf("retry_join_wan = [%q]", all[0].cfg.Network.Endpoints.SerfBindWAN.String()))
		}
		if i == 2 {
			hcl = append(hcl, fmt.Sprintf("retry_join_wan = [%q]", all[0].rpcAddr()))
		}
		all = append(all, start(t, t.TempDir(), hcl...))
	}
	for _, s := range all {
		s.eventually("all see all", func() bool { return s.seen() == 3 })
		s.eventually("everybody has answered a probe of everybody", func() bool { return strings.Count(s.get("/v1/coordinate/datacenters"), `"Coord"`) == 3 })
	}
	// A loaded machine may miss a probe, a way that does not work misses them all.
	suspicions, since := 0, time.Now()
	all[0].eventually("some rounds of probes go by without a suspicion", func() bool {
		n := 0
		for _, s := range all {
			n += strings.Count(s.log.String(), "Suspect")
		}
		if n > suspicions {
			suspicions, since = n, time.Now()
		}
		return time.Since(since) > 2*time.Second
	})
	for _, s := range all {
		s.eventually("all see all", func() bool { return s.seen() == 3 })
	}
}
