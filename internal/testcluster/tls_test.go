package testcluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"lictor/certs"
)

// An office hands out certificates in the directory of a cluster.
type office struct {
	*Cluster
	ca certs.Pair
}

func newOffice(c *Cluster) *office {
	o := &office{Cluster: c}
	o.authority()
	return o
}

// authority makes a new authority; what it signs comes with issue.
func (o *office) authority() {
	ca, err := certs.NewAuthority(certs.AuthorityOptions{Valid: 1000 * time.Hour})
	if err != nil {
		o.Fatal(err)
	}
	o.ca = ca
}

// issue writes a certificate for one agent and returns the HCL that names it. Authorities are those whose certificates the
// agent accepts.
func (o *office) issue(name, kind, dc string, authorities ...certs.Pair) string {
	o.Helper()
	l := certs.AgentLeaf(kind, dc, "consul")
	l.Valid = 100 * time.Hour
	pair, err := certs.Issue(o.ca, l)
	if err != nil {
		o.Fatal(err)
	}
	var roots []byte
	for _, ca := range append(authorities, o.ca) {
		roots = append(roots, ca.Cert...)
	}
	for suffix, text := range map[string][]byte{"ca": roots, "cert": pair.Cert, "key": pair.Key} {
		if err := os.WriteFile(filepath.Join(o.dir, name+"-"+suffix+".pem"), text, 0o600); err != nil {
			o.Fatal(err)
		}
	}
	return fmt.Sprintf(`tls { defaults { ca_file = "%[1]s-ca.pem" cert_file = "%[1]s-cert.pem" key_file = "%[1]s-key.pem"
		verify_incoming = true verify_outgoing = true } internal_rpc { verify_server_hostname = true } }`, filepath.Join(o.dir, name))
}

func (o *office) open(servers, clients int) {
	for i := range servers {
		name := fmt.Sprintf("s%d", i+1)
		o.Add(name, true, fmt.Sprintf("bootstrap_expect = %d", servers), o.issue(name, "server", "dc1"))
	}
	for i := range clients {
		name := fmt.Sprintf("c%d", i+1)
		o.Add(name, false, o.issue(name, "client", "dc1"))
	}
	o.Settled()
}

// A cluster that is encrypted throughout does all that others do, and changes its authority while it works.
func TestEncryptedCluster(t *testing.T) {
	Run(t, 0, 0, "", func(c *Cluster) {
		o := newOffice(c)
		o.open(3, 1)
		client := c.Node("c1")
		client.Put("a", "1")

		before := o.ca
		o.authority()
		after := o.ca
		for step, sign := range []certs.Pair{before, after} { // first all trust both, then the new one signs
			for _, n := range c.Running() {
				o.ca = sign
				kind := "client"
				if n.Server {
					kind = "server"
				}
				o.issue(n.Name, kind, "dc1", before, after)
				c.Sleep(10 * time.Second)
			}
			leader := c.Leader()
			leader.Crash()
			client.PutAgain("a", fmt.Sprint(step))
			leader.Start()
			c.Settled()
			if v, err := client.Value("a", "consistent"); v != fmt.Sprint(step) || err != nil {
				t.Errorf("step %d: %q, %v", step, v, err)
			}
		}
		c.checkReplicas()
	})
}

// Who has no certificate of this datacenter's servers does not become one of them, though gossip lets it in.
func TestNoServerWithoutItsCertificate(t *testing.T) {
	Run(t, 0, 0, "", func(c *Cluster) {
		o := newOffice(c)
		o.open(3, 0)
		c.Leader().Put("a", "1")
		client, elsewhere := o.issue("x1", "client", "dc1"), o.issue("x2", "server", "dc2")
		own := o.ca
		o.authority()
		forged := o.issue("x3", "server", "dc1", own)
		o.ca = own
		for i, hcl := range []string{client, elsewhere, forged, ""} {
			name := fmt.Sprintf("x%d", i+1)
			x := c.Add(name, true, "bootstrap_expect = 3", hcl)
			c.Sleep(time.Minute)
			if a := x.Ask("GET", "/v1/kv/a?raw&stale", ""); a.Body == "1" {
				t.Errorf("%s has got the state", name)
			}
			if x.Leads() {
				t.Errorf("%s leads", name)
			}
			x.Kill()
			if v, err := c.Leader().Value("a", "consistent"); v != "1" || err != nil {
				t.Errorf("after %s the servers answer %q, %v", name, v, err)
			}
		}
	})
}

// A client agent that has nothing but the authority's certificate gets one of its own from the servers, with which it is
// a client and no server.
func TestServersGiveCertificates(t *testing.T) {
	Run(t, 0, 0, "", func(c *Cluster) {
		o := newOffice(c)
		for i := range 3 {
			name := fmt.Sprintf("s%d", i+1)
			o.Add(name, true, "bootstrap_expect = 3 auto_encrypt { allow_tls = true }", o.issue(name, "server", "dc1"))
		}
		hcl := fmt.Sprintf(`tls { defaults { ca_file = "%s" verify_outgoing = true } internal_rpc { verify_server_hostname = true } } auto_encrypt { tls = true }`, filepath.Join(c.dir, "s1-ca.pem"))
		client := o.Add("c1", false, hcl)
		o.Settled()
		client.PutAgain("a", "1")
		if v, err := client.Value("a", "consistent"); v != "1" || err != nil {
			t.Errorf("%q, %v", v, err)
		}
		client.Crash()
		client.Start()
		o.Settled()
		client.PutAgain("a", "2")
		leader := c.Leader()
		leader.Crash()
		client.PutAgain("a", "3")
		leader.Start()
		c.Settled()
	})
}

// A client agent that has nothing but the authority's certificate, the address of a server and a token that introduces it
// becomes a member of a cluster whose gossip is encrypted, and comes back with what it has kept.
func TestServersIntroduceAgents(t *testing.T) {
	Run(t, 0, 0, "", func(c *Cluster) {
		o := newOffice(c)
		secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(secret.Public())
		if err != nil {
			t.Fatal(err)
		}
		public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		for i := range 3 {
			name := fmt.Sprintf("s%d", i+1)
			o.Add(name, true, fmt.Sprintf(`bootstrap_expect = 3 encrypt = %q auto_config { authorization { enabled = true static {
				jwt_validation_pub_keys = [%q] jwt_supported_algs = ["ES256"] bound_audiences = ["cluster"] bound_issuer = "me"
				claim_mappings { sub = "node" } claim_assertions = ["value.node == \"${node}\""] } } }`, gossipKey, public), o.issue(name, "server", "dc1"))
		}
		o.Settled()
		token := func(node string) string {
			text, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": "me", "aud": "cluster", "sub": node, "exp": time.Now().Add(time.Minute).Unix()}).SignedString(secret)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		hcl := func(token string) string {
			return fmt.Sprintf(`tls { defaults { ca_file = "%s" } internal_rpc { verify_server_hostname = true } }
				auto_config { enabled = true intro_token = %q server_addresses = ["10.0.0.2:8300", "10.0.0.1:8300"] }`, filepath.Join(c.dir, "s1-ca.pem"), token)
		}
		client := o.Add("c1", false, hcl(token("c1")))
		o.Settled()
		client.PutAgain("a", "1")
		client.Crash()
		c.Sleep(3 * time.Minute) // the token has expired, and is not needed
		client.Start()
		o.Settled()
		client.PutAgain("a", "2")
		client.Quit()

		err = c.plan("c2", false, hcl(token("c1"))).try()
		if err == nil || !strings.Contains(err.Error(), "the token does not introduce this agent") {
			t.Errorf("with a token for another: %v", err)
		}
	})
}
