package agent

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"

	"lictor/certs"
	"lictor/config"
)

// An opening is something that lets in more people than it has to, and what closes it.
type opening struct {
	Key   string // of the configuration that is about it
	Text  string // what is open, and to whom
	Close string // line of the configuration, or command, that closes it
}

// An inspection looks for one kind of opening. It returns nothing where all is well.
type inspection struct {
	key   string
	look  func(a *Agent, c *config.Config) (text string)
	close string
}

// inspections is THE list of what Security looks at.
func inspections() []inspection {
	return []inspection{
		{"addresses.http", openHTTP, "ports { http = -1 https = 8501 }, or client_addr = \"127.0.0.1\""},
		{"acl.enabled", func(_ *Agent, c *config.Config) string {
			return when(!c.ACL.Enabled, "there is no access control: whoever reaches the API may do everything")
		}, "acl { enabled = true default_policy = \"deny\" }"},
		{"acl.default_policy", func(_ *Agent, c *config.Config) string {
			return when(c.ACL.Enabled && c.ACL.DefaultPolicy != "deny", "what no rule speaks of is allowed to everybody")
		}, "acl { default_policy = \"deny\" }"},
		{"encrypt", openGossip, "encrypt = \"...\", as lictor keygen prints it"},
		{"encrypt_verify_incoming", func(a *Agent, c *config.Config) string {
			return when(a.lan.Encrypted() && !c.Gossip.VerifyIncoming, "gossip is taken from who does not have the key")
		}, "encrypt_verify_incoming = true"},
		{"encrypt_verify_outgoing", func(a *Agent, c *config.Config) string {
			return when(a.lan.Encrypted() && !c.Gossip.VerifyOutgoing, "gossip is sent in plaintext")
		}, "encrypt_verify_outgoing = true"},
		{"tls.internal_rpc.verify_incoming", func(_ *Agent, c *config.Config) string {
			return when(c.Server.Server && !c.TLS.InternalRPC.VerifyIncoming, "port 8300 takes calls and Raft in plaintext, from whoever reaches it")
		}, "tls { internal_rpc { verify_incoming = true } }"},
		{"tls.internal_rpc.verify_outgoing", func(_ *Agent, c *config.Config) string {
			return when(!c.TLS.InternalRPC.VerifyOutgoing, "this agent sends calls to servers in plaintext, tokens among them")
		}, "tls { internal_rpc { verify_outgoing = true } }"},
		{"tls.internal_rpc.verify_server_hostname", func(_ *Agent, c *config.Config) string {
			return when(!c.TLS.InternalRPC.VerifyName, "whoever has a certificate of the authority, as all clients have, can pass for a server")
		}, "tls { internal_rpc { verify_server_hostname = true } }"},
		{"tls.https.tls_min_version", oldTLS, "tls { defaults { tls_min_version = \"TLSv1_2\" } }"},
		{"enable_script_checks", func(_ *Agent, c *config.Config) string {
			return when(c.Checks.Scripts, "whoever may register a check has this agent run programs")
		}, "enable_local_script_checks = true, instead of enable_script_checks"},
		{"enable_debug", func(_ *Agent, c *config.Config) string {
			return when(c.HTTP.Debug && !c.ACL.Enabled, "profiles, which show what is in memory, are for everybody who reaches the API")
		}, "enable_debug = false"},
		{"limits.http_max_conns_per_client", func(_ *Agent, c *config.Config) string {
			return when(c.Limits.HTTPMaxConns == 0, "one client can take all connections of the API")
		}, "limits { http_max_conns_per_client = 200 }"},
		{"limits.rpc_max_conns_per_client", func(_ *Agent, c *config.Config) string {
			return when(c.Server.Server && c.Limits.RPCMaxConns == 0, "one client can take all connections of the servers")
		}, "limits { rpc_max_conns_per_client = 100 }"},
		{"tls.internal_rpc.key_file", readableKeys, "chmod 600, on these files"},
		{"data_dir", readableData, "chmod 700, on this directory"},
		{"config-dir", (*Agent).readableSources, "chmod 640, on these files"},
	}
}

func when(open bool, text string) string {
	if open {
		return text
	}
	return ""
}

// openings are what of this agent is open.
func (a *Agent) openings() []opening {
	c := a.current.Load()
	all := []opening{}
	for _, i := range inspections() {
		if text := i.look(a, c); text != "" {
			all = append(all, opening{i.key, text, i.close})
		}
	}
	return all
}

// openHTTP finds plaintext that others than this host reach.
func openHTTP(_ *Agent, c *config.Config) string {
	for _, l := range c.Network.Endpoints.HTTP {
		host, _, err := net.SplitHostPort(l.Address)
		if err != nil || l.Network != "tcp" {
			continue
		}
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			return fmt.Sprintf("the API is served in plaintext at %s, tokens included", l.Address)
		}
	}
	return ""
}

func openGossip(a *Agent, _ *config.Config) string {
	return when(!a.lan.Encrypted(), "gossip is not encrypted: whoever reaches port 8301 reads it, joins, and sends events")
}

func oldTLS(a *Agent, c *config.Config) string {
	for p, t := range []*config.TLSProtocol{&c.TLS.InternalRPC, &c.TLS.HTTPS} {
		if t.MinVersion == "TLSv1_0" || t.MinVersion == "TLSv1_1" {
			return fmt.Sprintf("%s is taken on %s, and is broken", t.MinVersion, []certs.Protocol{certs.RPC, certs.HTTPS}[p])
		}
	}
	return ""
}

// readableKeys finds files of keys that others than their owner can read.
func readableKeys(_ *Agent, c *config.Config) string {
	var open []string
	for _, f := range []string{c.TLS.InternalRPC.KeyFile, c.TLS.HTTPS.KeyFile, c.AtRest.KeyFile} {
		if f != "" && !slices.Contains(open, f) && readable(f, 0o077) {
			open = append(open, f)
		}
	}
	if len(open) == 0 {
		return ""
	}
	return fmt.Sprintf("keys of certificates, or of encryption at rest, are not for their owner alone: %v", open)
}

// readableData finds that others can list the data directory; what is in it is protected on its own.
func readableData(_ *Agent, c *config.Config) string {
	for _, name := range []string{"serf/local.keyring", "serf/remote.keyring", "raft/raft.db"} {
		if f := filepath.Join(c.Node.DataDir, name); c.Node.DataDir != "" && readable(f, 0o007) && readable(filepath.Dir(f), 0o007) && readable(c.Node.DataDir, 0o007) {
			return "everybody on this host can read " + f
		}
	}
	return ""
}

// readableSources finds files of the configuration that hold secrets and can be read by everybody on the host.
func (a *Agent) readableSources(c *config.Config) string {
	t := &c.ACL.Tokens
	if c.Gossip.EncryptKey == "" && t.Agent == "" && t.Default == "" && t.InitialManagement == "" && t.AgentRecovery == "" && t.Replication == "" && !c.Replicate.Secret() {
		return ""
	}
	for _, f := range a.sources.Files() {
		if readable(f, 0o004) {
			return "the configuration holds secrets, and everybody on this host can read " + f
		}
	}
	return ""
}

// readable tells whether a file has one of some permissions.
func readable(path string, perm fs.FileMode) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&perm != 0
}
