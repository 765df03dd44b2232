package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"lictor/certs"
)

// initOptions are the flags of init.
type initOptions struct {
	dir                string
	servers, clients   int
	datacenter, domain string
	addresses          list // of the servers
	days               int
	configDir, dataDir string // on the hosts
}

func newInit(fs *flag.FlagSet, c *console) runFunc {
	var o initOptions
	fs.StringVar(&o.dir, "dir", "lictor-cluster", "The `directory` to write, which must not exist yet.")
	fs.IntVar(&o.servers, "servers", 3, "The `number` of servers: 1, 3, 5 or 7.")
	fs.IntVar(&o.clients, "clients", 0, "The `number` of client agents to make certificates for.")
	fs.StringVar(&o.datacenter, "dc", "dc1", "The `name` of the datacenter.")
	fs.StringVar(&o.domain, "domain", "consul", "The cluster's `domain`.")
	fs.Var(&o.addresses, "address", "The `address` of a server, as the others reach it. Give it once for each server.")
	fs.IntVar(&o.days, "days", 365, "For how many `days` the agents' certificates are valid. The authority is valid for ten years.")
	fs.StringVar(&o.configDir, "config-dir", "/etc/lictor.d", "The `directory` on each host that the files will be in.")
	fs.StringVar(&o.dataDir, "data-dir", "/var/lib/lictor", "The data `directory` on each host.")
	return func(_ context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		if err := o.check(); err != nil {
			return err
		}
		return o.write(c)
	}
}

const mostClients = 1000

func (o *initOptions) check() error {
	switch {
	case o.servers < 1 || o.servers > 7 || o.servers%2 == 0:
		return usagef("-servers is %d: it must be 1, 3, 5 or 7, so that a majority is always clear", o.servers)
	case o.clients < 0 || o.clients > mostClients:
		return usagef("-clients is %d: it must be from 0 to %d", o.clients, mostClients)
	case len(o.addresses) > 0 && len(o.addresses) != o.servers:
		return usagef("-address is given %d times for %d servers: give it once for each, or not at all", len(o.addresses), o.servers)
	case !filepath.IsAbs(o.configDir) || strings.ContainsAny(o.configDir, "\"\n$\\"):
		return usagef("-config-dir is %q: it must be an absolute path", o.configDir)
	case !filepath.IsAbs(o.dataDir) || strings.ContainsAny(o.dataDir, "\"\n$\\"):
		return usagef("-data-dir is %q: it must be an absolute path", o.dataDir)
	}
	for _, a := range o.addresses {
		if _, err := netip.ParseAddr(a); err != nil {
			return usagef("-address is %q, which is not an IP address", a)
		}
	}
	if _, err := validDays(o.days); err != nil {
		return err
	}
	for _, r := range o.datacenter {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return usagef("-dc is %q: it may have lower-case letters, digits, - and _", o.datacenter)
		}
	}
	return cmp.Or(fileDomain("-dc", o.datacenter), fileDomain("-domain", o.domain))
}

// A planned agent is one agent that files are written for.
type planned struct {
	*initOptions
	Name    string
	Server  bool
	Address string // "" is not known
	Key     string // of gossip
}

// What templates ask for.

func (m *planned) Dir() string        { return m.configDir }
func (m *planned) DataDir() string    { return m.dataDir }
func (m *planned) Datacenter() string { return m.datacenter }
func (m *planned) Domain() string     { return m.domain }
func (m *planned) Servers() int       { return m.servers }
func (m *planned) Join() string {
	addresses := m.addresses
	if len(addresses) == 0 {
		for i := range m.servers {
			addresses = append(addresses, fmt.Sprintf("server-%d.example.com", i+1))
		}
	}
	return `"` + strings.Join(addresses, `", "`) + `"`
}

func (m *planned) Guessed() bool { return len(m.addresses) == 0 }

var configuration = template.Must(template.New("lictor.hcl").Parse(`# Written by lictor init. Everything is encrypted and verified, and nothing is allowed without a token.
node_name  = "{{.Name}}"
datacenter = "{{.Datacenter}}"
domain     = "{{.Domain}}"
data_dir   = "{{.DataDir}}"
server     = {{.Server}}
{{if .Server}}bootstrap_expect = {{.Servers}}
{{end}}{{if .Address}}bind_addr = "{{.Address}}"
{{end}}{{if .Guessed}}# Names or addresses of all servers: put the real ones here.
{{end}}retry_join = [{{.Join}}]

encrypt                 = "{{.Key}}"
encrypt_verify_incoming = true
encrypt_verify_outgoing = true

# The API is on HTTPS only, for programs of this host. client_addr opens it to others.
client_addr = "127.0.0.1"
ports {
  http     = -1
  https    = 8501
  grpc     = -1
  grpc_tls = -1
}

tls {
  defaults {
    ca_file         = "{{.Dir}}/ca.pem"
    cert_file       = "{{.Dir}}/cert.pem"
    key_file        = "{{.Dir}}/key.pem"
    verify_incoming = true
    verify_outgoing = true
    tls_min_version = "TLSv1_2"
  }
  internal_rpc {
    verify_server_hostname = true
  }
}

acl {
  enabled                  = true
  default_policy           = "deny"
  enable_token_persistence = true
}
`))

var environment = template.Must(template.New("cli.env").Parse(`# Settings of the command line on a host of the cluster: . {{.Dir}}/cli.env
export CONSUL_HTTP_ADDR=https://127.0.0.1:8501
export CONSUL_CACERT={{.Dir}}/ca.pem
export CONSUL_CLIENT_CERT={{.Dir}}/cli.pem
export CONSUL_CLIENT_KEY={{.Dir}}/cli-key.pem
`))

var nextSteps = template.Must(template.New("NEXT-STEPS.txt").Parse(`How to start this cluster

1. Put ca/ca-key.pem away, where no agent runs. Who has it can make servers. It is needed for further certificates only.
{{if .Guessed}}
2. Put the real addresses of the servers into retry_join in each lictor.hcl.
{{else}}
2. Nothing: the addresses of the servers are in place.
{{end}}
3. Copy each directory (server-1 and so on) to its host, as {{.Dir}}, owned by the user that runs the agent. Modes must
   stay: keys and lictor.hcl are for their owner alone. Each directory is for one host: never use it for two.
   Copy cli/ to {{.Dir}} of the hosts from which the cluster is administered.

4. Start the agents, servers first, in any order:

     lictor agent -config-dir {{.Dir}}/lictor.hcl

   The servers wait until all {{.Servers}} are there, then one of them leads.

5. Make the first token, once, on any server. It may do everything: keep it as safely as the key of the authority.

     . {{.Dir}}/cli.env
     lictor acl bootstrap
     export CONSUL_HTTP_TOKEN=...the SecretID that was printed

6. Give each agent a token of its own, with which it registers its node. For the node server-1:

     lictor acl token create -description server-1 -node-identity server-1:{{.Datacenter}}
     lictor acl set-agent-token agent ...its SecretID

   The second command is for the host of that agent. It is kept in the data directory.

7. Look whether anything is open:

     lictor check-security

Later:
- A further agent: lictor tls cert create -client -dc={{.Datacenter}} -domain={{.Domain}} -ca=ca/ca.pem -key=ca/ca-key.pem
- Certificates expire: replace cert.pem and key.pem before that. Agents take new files by themselves within seconds.
- A new key of gossip: lictor keygen, lictor keyring -install, -use and -remove. Agents keep it in their data directories;
  put it into lictor.hcl, too, for further agents.
- Browsers have no certificate of the authority. For the web page set tls { https { verify_incoming = false } } and
  ui_config { enabled = true } on one agent; tokens are asked for all the same.
`))

// write writes all files into a directory that does not exist yet.
func (o *initOptions) write(c *console) error {
	if err := missing(o.dir); err != nil {
		return err
	}
	valid, err := validDays(o.days)
	if err != nil {
		return err
	}
	authority, err := certs.NewAuthority(certs.AuthorityOptions{Valid: 3650 * day})
	if err != nil {
		return failf("%w", err)
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	w := &clusterFiles{initOptions: o, authority: authority, valid: valid, gossipKey: base64.StdEncoding.EncodeToString(secret)}
	w.directory("")
	w.directory("ca")
	w.file("ca/ca.pem", authority.Cert, openMode)
	w.file("ca/ca-key.pem", authority.Key, secretMode)
	for i := range o.servers {
		m := &planned{initOptions: o, Name: fmt.Sprintf("server-%d", i+1), Server: true}
		if len(o.addresses) > 0 {
			m.Address = o.addresses[i]
		}
		w.agent(m)
	}
	for i := range o.clients {
		w.agent(&planned{initOptions: o, Name: fmt.Sprintf("client-%d", i+1)})
	}
	w.commandLine()
	w.template("NEXT-STEPS.txt", nextSteps, &planned{initOptions: o}, openMode)
	if w.err != nil {
		return w.err
	}
	c.printf("==> Wrote an authority, a gossip key, and the files of %d servers and %d clients to %s\n", o.servers, o.clients, o.dir)
	c.printf("==> %s says what to do next\n", filepath.Join(o.dir, "NEXT-STEPS.txt"))
	return nil
}

// clusterFiles writes files until one cannot be written.
type clusterFiles struct {
	*initOptions
	authority certs.Pair
	valid     time.Duration // of certificates
	gossipKey string
	err       error
}

func (w *clusterFiles) directory(name string) {
	if w.err == nil {
		if err := os.Mkdir(filepath.Join(w.dir, name), 0o700); err != nil {
			w.err = failf("%w", err)
		}
	}
}

func (w *clusterFiles) file(name string, content []byte, mode os.FileMode) {
	if w.err == nil {
		w.err = writeNew(filepath.Join(w.dir, name), content, mode)
	}
}

func (w *clusterFiles) template(name string, t *template.Template, m *planned, mode os.FileMode) {
	var text strings.Builder
	if err := t.Execute(&text, m); err != nil && w.err == nil {
		w.err = failf("%w", err)
	}
	w.file(name, []byte(text.String()), mode)
}

// pair writes a certificate of one kind and its key.
func (w *clusterFiles) pair(cert, key, kind string, m *planned) {
	l := certs.AgentLeaf(kind, w.datacenter, w.domain)
	l.Valid = w.valid
	if kind == "server" {
		l.Names = append(l.Names, m.Name+"."+l.CommonName)
	}
	if ip := net.ParseIP(m.Address); ip != nil {
		l.Addresses = append(l.Addresses, ip)
	}
	pair, err := certs.Issue(w.authority, l)
	if err != nil && w.err == nil {
		w.err = failf("%w", err)
	}
	w.file(cert, pair.Cert, openMode)
	w.file(key, pair.Key, secretMode)
}

// agent writes the directory of one agent.
func (w *clusterFiles) agent(m *planned) {
	kind := "client"
	if m.Server {
		kind = "server"
	}
	m.Key = w.gossipKey
	w.directory(m.Name)
	w.file(m.Name+"/ca.pem", w.authority.Cert, openMode)
	w.pair(m.Name+"/cert.pem", m.Name+"/key.pem", kind, m)
	w.template(m.Name+"/lictor.hcl", configuration, m, secretMode)
}

// commandLine writes what the command line needs.
func (w *clusterFiles) commandLine() {
	w.directory("cli")
	w.file("cli/ca.pem", w.authority.Cert, openMode)
	w.pair("cli/cli.pem", "cli/cli-key.pem", "cli", &planned{})
	w.template("cli/cli.env", environment, &planned{initOptions: w.initOptions}, openMode)
}
