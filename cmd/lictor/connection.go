package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"lictor/cmd/lictor/client"
)

// A connection holds the client flags of one command line. What a flag leaves open comes from the environment.
type connection struct {
	console    *console
	addr       optional[string]
	token      optional[string]
	tokenFile  optional[string]
	caFile     optional[string]
	caPath     optional[string]
	clientCert optional[string]
	clientKey  optional[string]
	serverName optional[string]
	datacenter string
	namespace  optional[string]
	stale      bool
}

// clientFlags adds the flags that every command has which talks to an agent.
func (c *console) clientFlags(fs *flag.FlagSet) *connection {
	cn := &connection{console: c}
	fs.Var(text(&cn.addr), "http-addr", "The agent's `address`: host:port, also with http:// or https:// before it, or unix:// and a path. "+
		"Environment: CONSUL_HTTP_ADDR. Default: "+client.DefaultAddress+".")
	fs.Var(text(&cn.token), "token", "The `token` to act as. Environment: CONSUL_HTTP_TOKEN.")
	fs.Var(text(&cn.tokenFile), "token-file", "A `file` that holds the token. Environment: CONSUL_HTTP_TOKEN_FILE.")
	fs.Var(text(&cn.caFile), "ca-file", "The certificate `file` of the authority to trust. Environment: CONSUL_CACERT.")
	fs.Var(text(&cn.caPath), "ca-path", "A `directory` of certificates of authorities to trust. Environment: CONSUL_CAPATH.")
	fs.Var(text(&cn.clientCert), "client-cert", "A `file` with the certificate to show to the agent. Environment: CONSUL_CLIENT_CERT.")
	fs.Var(text(&cn.clientKey), "client-key", "The `file` with the key of -client-cert. Environment: CONSUL_CLIENT_KEY.")
	fs.Var(text(&cn.serverName), "tls-server-name", "The `name` to expect in the agent's certificate. Environment: CONSUL_TLS_SERVER_NAME.")
	fs.StringVar(&cn.datacenter, "datacenter", "", "The `datacenter` to ask. Default: the agent's own.")
	fs.Var(text(&cn.namespace), "namespace", "Sent on as it is, for compatibility; there are no namespaces. Environment: CONSUL_NAMESPACE.")
	fs.BoolVar(&cn.stale, "stale", false, "Let any server answer, not only the leader: quicker, and possibly a little out of date.")
	return cn
}

// client makes a client of the flags and the environment.
func (cn *connection) client() (*client.Client, error) {
	env := cn.console.getenv
	token, err := cn.secret()
	if err != nil {
		return nil, err
	}
	config := client.Config{
		Address:    cn.addr.or(env("CONSUL_HTTP_ADDR")),
		Token:      token,
		Namespace:  cn.namespace.or(env("CONSUL_NAMESPACE")),
		Datacenter: cn.datacenter,
		Stale:      cn.stale,
		TLS: client.TLS{
			CAFile:     cn.caFile.or(env("CONSUL_CACERT")),
			CAPath:     cn.caPath.or(env("CONSUL_CAPATH")),
			CertFile:   cn.clientCert.or(env("CONSUL_CLIENT_CERT")),
			KeyFile:    cn.clientKey.or(env("CONSUL_CLIENT_KEY")),
			ServerName: cn.serverName.or(env("CONSUL_TLS_SERVER_NAME")),
		},
		Hint: cn.hint(),
	}
	config.User, config.Password, _ = strings.Cut(env("CONSUL_HTTP_AUTH"), ":")
	if config.Secure, err = boolean(env, "CONSUL_HTTP_SSL", false); err != nil {
		return nil, err
	}
	verify, err := boolean(env, "CONSUL_HTTP_SSL_VERIFY", true)
	if err != nil {
		return nil, err
	}
	config.TLS.SkipVerify = !verify
	cl, err := client.New(config)
	if err != nil {
		return nil, failf("Error connecting to Consul agent: %w", err)
	}
	return cl, nil
}

// secret is the token: a flag is asked before the environment, and a token before a file with one.
func (cn *connection) secret() (string, error) {
	env := cn.console.getenv
	file := ""
	switch {
	case cn.token.set:
		return cn.token.value, nil
	case cn.tokenFile.set:
		file = cn.tokenFile.value
	case env("CONSUL_HTTP_TOKEN_FILE") != "":
		file = env("CONSUL_HTTP_TOKEN_FILE")
	}
	if file == "" {
		return env("CONSUL_HTTP_TOKEN"), nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", failf("Error loading token file: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// hint says what to do if no agent answers. Whoever has just typed the address needs none.
func (cn *connection) hint() string {
	switch addr := cn.console.getenv("CONSUL_HTTP_ADDR"); {
	case cn.addr.set:
		return ""
	case addr != "":
		return fmt.Sprintf("The address %s is from CONSUL_HTTP_ADDR. Is an agent running there? -http-addr names another one.", addr)
	default:
		return "Is an agent running at " + client.DefaultAddress + "? Start one with 'lictor agent', or name another address with -http-addr or CONSUL_HTTP_ADDR."
	}
}

func boolean(env func(string) string, name string, fallback bool) (bool, error) {
	text := env(name)
	if text == "" {
		return fallback, nil
	}
	v, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("%s is %q: it must be true or false", name, text)
	}
	return v, nil
}
