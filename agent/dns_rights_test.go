package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lictor/acl"
)

// Under a default of deny, each form of a name is answered to a dns token with exactly its rights, and to none that is
// missing, wrong, too narrow, expired or revoked.
func TestRightsOfNames(t *testing.T) {
	s := newRealm(t)
	s.must("PUT", "/v1/agent/service/register", `{"Name": "web", "Tags": ["blue"], "Address": "10.6.6.6", "Port": 80}`)
	s.must("POST", "/v1/query", `{"Name": "find-web", "Service": {"Service": "web"}}`)
	s.eventually("the service is there", func() bool { return strings.Contains(s.must("GET", "/v1/health/service/web", ""), "10.6.6.6") })
	const node, service = `node "secret-node" { policy = "read" } `, `service "web" { policy = "read" } `
	for _, r := range []struct {
		name   string
		kind   uint16
		rules  string
		narrow string
	}{
		{"secret-node.node.consul.", dns.TypeA, node, service},
		{"secret-node.node.consul.", dns.TypeANY, node, service},
		{"web.service.consul.", dns.TypeA, node + service, node},
		{"web.service.consul.", dns.TypeA, node + service, service},
		{"web.service.consul.", dns.TypeSRV, node + service, node},
		{"web.service.consul.", dns.TypeANY, node + service, node},
		{"blue.web.service.consul.", dns.TypeA, node + service, node},
		{"_web._blue.service.consul.", dns.TypeSRV, node + service, service},
		{"find-web.query.consul.", dns.TypeA, node + service, node + `query_prefix "" { policy = "write" }`},
		{"find-web.query.consul.", dns.TypeSRV, node + service, service},
		{"1.0.0.127.in-addr.arpa.", dns.TypePTR, node, service},
		{"6.6.6.10.in-addr.arpa.", dns.TypePTR, node + service, node},
	} {
		what := r.name + " " + dns.TypeToString[r.kind]
		answers := func(secret string) int {
			t.Helper()
			s.must("PUT", "/v1/agent/token/dns", `{"Token": "`+secret+`"}`)
			m := s.dig(r.name, r.kind)
			for _, rr := range m.Answer {
				if rr.Header().Rrtype == dns.TypeSOA {
					return 0
				}
			}
			return len(m.Answer) + len(m.Extra)
		}
		exact, accessor := s.token(r.rules, 0)
		if n := answers(exact); n == 0 {
			t.Errorf("%s: who has exactly the rights gets nothing", what)
		}
		narrow, _ := s.token(r.narrow, 0)
		for who, secret := range map[string]string{"no token": "", "a wrong token": someID, "a narrow token": narrow} {
			if n := answers(secret); n != 0 {
				t.Errorf("%s: %s gets %d records", what, who, n)
			}
		}
		row := *acl.Tokens.Get(s.server.node.DB().Read(), accessor)
		row.ExpirationTime = acl.MomentOf(time.Now().Add(-time.Second)) // the API makes none that are over so soon
		if _, err := s.server.node.Apply(within(t), &acl.SetToken{Token: row}); err != nil {
			t.Fatal(err)
		}
		if n := answers(exact); n != 0 {
			t.Errorf("%s: an expired token gets %d records", what, n)
		}
		revoked, gone := s.token(r.rules, 0)
		answers(revoked) // it is known by now
		s.must("DELETE", "/v1/acl/token/"+gone, "")
		if n := answers(revoked); n != 0 {
			t.Errorf("%s: a revoked token gets %d records", what, n)
		}
	}
}
