package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"lictor/certs"
)

// The modes of what is written: certificates may be read by all, keys by their owner only.
const (
	openMode   fs.FileMode = 0o644
	secretMode fs.FileMode = 0o600
)

// writeNew writes a file that must not exist yet.
func writeNew(name string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return failf("%s already exists.", name)
	}
	if err != nil {
		return failf("%w", err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return failf("%w", err)
	}
	return nil
}

// missing refuses to go on if one of some files exists.
func missing(names ...string) error {
	for _, name := range names {
		if _, err := os.Lstat(name); err == nil {
			return failf("%s already exists.", name)
		}
	}
	return nil
}

// writePair writes a certificate and its key, and says so.
func writePair(c *console, cert, key string, pair certs.Pair) error {
	if err := missing(cert, key); err != nil {
		return err
	}
	if err := writeNew(cert, pair.Cert, openMode); err != nil {
		return err
	}
	c.printf("==> Saved %s\n", cert)
	if err := writeNew(key, pair.Key, secretMode); err != nil {
		return err
	}
	c.printf("==> Saved %s\n", key)
	return nil
}

const day = 24 * time.Hour

// mostDays bounds the validity of what is made, so that its end is a date that X.509 can name.
const mostDays = 36500

func validDays(days int) (time.Duration, error) {
	if days < 1 || days > mostDays {
		return 0, usagef("-days is %d: it must be from 1 to %d", days, mostDays)
	}
	return time.Duration(days) * day, nil
}

func newTLSCACreate(fs *flag.FlagSet, c *console) runFunc {
	var o struct {
		domain, name, cluster string
		days                  int
		constrain             bool
		names                 list
	}
	fs.StringVar(&o.domain, "domain", "consul", "The cluster's `domain`. It begins the names of the files.")
	fs.StringVar(&o.name, "common-name", "", "The authority's `name`. It is made up unless it is given.")
	fs.StringVar(&o.cluster, "cluster-id", "", "The cluster's `id`, for a SPIFFE id in the certificate.")
	fs.IntVar(&o.days, "days", 1825, "For how many `days` the authority is valid.")
	fs.BoolVar(&o.constrain, "name-constraint", false, "Let the authority sign for names of the domain and localhost only.")
	fs.Var(&o.names, "additional-name-constraint", "A further `domain` that the authority may sign for. It may be repeated.")
	return func(_ context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		valid, err := validDays(o.days)
		if err != nil {
			return err
		}
		if len(o.names) > 0 && !o.constrain {
			return usagef("-additional-name-constraint needs -name-constraint")
		}
		if err := fileDomain("-domain", o.domain); err != nil {
			return err
		}
		options := certs.AuthorityOptions{CommonName: o.name, Valid: valid}
		if o.constrain {
			options.Names = append(o.names, o.domain, "localhost")
		}
		if o.cluster != "" {
			options.URI = &url.URL{Scheme: "spiffe", Host: strings.ToLower(o.cluster) + "." + o.domain}
		}
		authority, err := certs.NewAuthority(options)
		if err != nil {
			return failf("%w", err)
		}
		return writePair(c, o.domain+"-agent-ca.pem", o.domain+"-agent-ca-key.pem", authority)
	}
}

// fileDomain refuses what could not be part of the name of a file.
func fileDomain(flag, name string) error {
	if name == "" || strings.ContainsAny(name, "/\\ \t\n") || strings.HasPrefix(name, ".") {
		return usagef("%s is %q: it must be a name without blanks and slashes", flag, name)
	}
	return nil
}

// certOptions are the flags of tls cert create.
type certOptions struct {
	server, client, cli    bool
	authority, key         string
	datacenter, domain     string
	node                   string
	names, addresses       list
	days                   int
	kind                   string // server, client or cli
	authorityFile, keyFile string // with the domain in their names
}

func newTLSCertCreate(fs *flag.FlagSet, c *console) runFunc {
	var o certOptions
	fs.BoolVar(&o.server, "server", false, "Make a certificate for a server. Whoever has it may act as one.")
	fs.BoolVar(&o.client, "client", false, "Make a certificate for a client agent.")
	fs.BoolVar(&o.cli, "cli", false, "Make a certificate for the command line.")
	fs.StringVar(&o.authority, "ca", "#DOMAIN#-agent-ca.pem", "The `file` of the authority that signs.")
	fs.StringVar(&o.key, "key", "#DOMAIN#-agent-ca-key.pem", "The `file` of the authority's key.")
	fs.StringVar(&o.datacenter, "dc", "dc1", "The `datacenter` of the agent.")
	fs.StringVar(&o.domain, "domain", "consul", "The cluster's `domain`.")
	fs.StringVar(&o.node, "node", "", "With -server: the `name` of the server's node, for connections to it alone.")
	fs.Var(&o.names, "additional-dnsname", "A further DNS `name` in the certificate. It may be repeated. localhost is always there.")
	fs.Var(&o.addresses, "additional-ipaddress", "A further IP `address` in the certificate. It may be repeated. 127.0.0.1 is always there.")
	fs.IntVar(&o.days, "days", 365, "For how many `days` the certificate is valid.")
	return func(_ context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		return o.create(c)
	}
}

func (o *certOptions) check() error {
	chosen := 0
	for kind, on := range map[string]bool{"server": o.server, "client": o.client, "cli": o.cli} {
		if on {
			chosen++
			o.kind = kind
		}
	}
	switch {
	case o.authority == "":
		return usagef("Please provide the ca")
	case o.key == "":
		return usagef("Please provide the key")
	case chosen != 1:
		return usagef("Please provide either -server, -client, or -cli")
	case o.node != "" && !o.server:
		return usagef("-node requires -server")
	}
	if err := fileDomain("-domain", o.domain); err != nil {
		return err
	}
	o.authorityFile = strings.Replace(o.authority, "#DOMAIN#", o.domain, 1)
	o.keyFile = strings.Replace(o.key, "#DOMAIN#", o.domain, 1)
	return fileDomain("-dc", o.datacenter)
}

func (o *certOptions) create(c *console) error {
	if err := o.check(); err != nil {
		return err
	}
	leaf, err := o.leaf()
	if err != nil {
		return err
	}
	cert, key := o.freeName()
	if o.server {
		c.printf("==> WARNING: Server Certificates grants authority to become a\n    server and access all state in the cluster including root keys\n" +
			"    and all ACL tokens. Do not distribute them to production hosts\n    that are not server nodes. Store them as securely as CA keys.\n")
	}
	authority, err := readPair(o.authorityFile, o.keyFile)
	if err != nil {
		return err
	}
	c.printf("==> Using %s and %s\n", o.authorityFile, o.keyFile)
	pair, err := certs.Issue(authority, leaf)
	if err != nil {
		return failf("%w", err)
	}
	return writePair(c, cert, key, pair)
}

// leaf is the certificate to make.
func (o *certOptions) leaf() (certs.LeafOptions, error) {
	valid, err := validDays(o.days)
	if err != nil {
		return certs.LeafOptions{}, err
	}
	l := certs.AgentLeaf(o.kind, o.datacenter, o.domain)
	l.Valid = valid
	if o.node != "" {
		l.Names = append(l.Names, o.node+"."+l.CommonName)
	}
	for _, name := range o.names {
		if name != "" {
			l.Names = append(l.Names, name)
		}
	}
	for _, text := range o.addresses {
		ip := net.ParseIP(text)
		if ip == nil {
			return l, usagef("-additional-ipaddress is %q, which is not an IP address", text)
		}
		l.Addresses = append(l.Addresses, ip)
	}
	return l, nil
}

// freeName is the first pair of names whose files do not exist.
func (o *certOptions) freeName() (cert, key string) {
	for n := 0; ; n++ {
		prefix := fmt.Sprintf("%s-%s-%s-%d", o.datacenter, o.kind, o.domain, n)
		cert, key = prefix+".pem", prefix+"-key.pem"
		if missing(cert, key) == nil {
			return cert, key
		}
	}
}

func readPair(cert, key string) (certs.Pair, error) {
	var p certs.Pair
	var err error
	if p.Cert, err = os.ReadFile(cert); err != nil {
		return p, failf("Error reading CA: %w", err)
	}
	if p.Key, err = os.ReadFile(key); err != nil {
		return p, failf("Error reading CA key: %w", err)
	}
	return p, nil
}
