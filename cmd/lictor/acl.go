package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lictor/acl"
	"lictor/cmd/lictor/client"
)

// An aclCommand is what the commands below acl share: how their answer is printed.
type aclCommand struct {
	*report
	meta bool
}

func (c *console) aclFlags(fs *flag.FlagSet) *aclCommand {
	return &aclCommand{report: c.reportFlags(fs)}
}

// metaFlag adds -meta, of commands that print rows.
func (a *aclCommand) metaFlag(fs *flag.FlagSet) {
	fs.BoolVar(&a.meta, "meta", false, "Print the hash and the indexes, too.")
}

// print prints a value, as JSON or as pretty writes it.
func (a *aclCommand) print(v any, pretty func(*sheet)) error {
	return a.report.print(v, func() {
		s := &sheet{meta: a.meta}
		pretty(s)
		a.console.printf("%s", s.text.String())
	})
}

// send sends a value and reads the answer.
func send(ctx context.Context, cl *client.Client, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return cl.Call(ctx, client.Request{Method: method, Path: path, Body: bytes.NewReader(body)}, out)
}

// A sheet is what a command prints of rows.
type sheet struct {
	text strings.Builder
	meta bool
	pad  string
}

func (s *sheet) line(format string, args ...any) {
	s.text.WriteString(strings.TrimRight(s.pad+fmt.Sprintf(format, args...), " ") + "\n")
}

func (s *sheet) field(name string, value any) { s.line("%-18s%v", name+":", value) }

// figures are what -meta adds.
func (s *sheet) figures(hash []byte, created, modified uint64) {
	if !s.meta {
		return
	}
	if hash != nil {
		s.field("Hash", base64.StdEncoding.EncodeToString(hash))
	}
	s.field("Create Index", created)
	s.field("Modify Index", modified)
}

func everywhere(datacenters []string) string {
	if len(datacenters) == 0 {
		return "all"
	}
	return strings.Join(datacenters, ", ")
}

// grants prints what a token or a role holds.
func (s *sheet) grants(g *acl.Grants) {
	links := func(title string, all []acl.Link) {
		if len(all) > 0 {
			s.line("%s:", title)
		}
		for _, l := range all {
			s.line("   %s - %s", l.ID, l.Name)
		}
	}
	links("Policies", g.Policies)
	links("Roles", g.Roles)
	if len(g.ServiceIdentities) > 0 {
		s.line("Service Identities:")
	}
	for _, i := range g.ServiceIdentities {
		s.line("   %s (Datacenters: %s)", i.ServiceName, everywhere(i.Datacenters))
	}
	if len(g.NodeIdentities) > 0 {
		s.line("Node Identities:")
	}
	for _, n := range g.NodeIdentities {
		s.line("   %s (Datacenter: %s)", n.NodeName, n.Datacenter)
	}
	if len(g.TemplatedPolicies) > 0 {
		s.line("Templated Policies:")
	}
	for _, t := range g.TemplatedPolicies {
		s.line("   %s", t.TemplateName)
		if t.TemplateVariables != nil {
			s.line("      Name: %s", t.TemplateVariables.Name)
		}
		s.line("      Datacenters: %s", everywhere(t.Datacenters))
	}
}

func (s *sheet) policy(p *acl.Policy) {
	s.field("ID", p.ID)
	s.field("Name", p.Name)
	s.field("Description", p.Description)
	s.field("Datacenters", strings.Join(p.Datacenters, ", "))
	s.figures(p.Hash, p.CreateIndex, p.ModifyIndex)
	s.line("Rules:")
	s.line("%s", p.Rules)
}

func (s *sheet) role(r *acl.Role) {
	s.field("ID", r.ID)
	s.field("Name", r.Name)
	s.roleBody(r)
}

func (s *sheet) roleBody(r *acl.Role) {
	s.field("Description", r.Description)
	s.figures(r.Hash, r.CreateIndex, r.ModifyIndex)
	s.grants(&r.Grants)
}

func (s *sheet) token(t *acl.Token) {
	s.field("AccessorID", t.AccessorID)
	s.field("SecretID", t.SecretID)
	s.field("Description", t.Description)
	s.field("Local", t.Local)
	if t.AuthMethod != "" {
		s.field("Auth Method", t.AuthMethod)
	}
	s.field("Create Time", t.CreateTime.Time())
	if t.ExpirationTime != 0 {
		s.field("Expiration Time", t.ExpirationTime.Time())
	}
	s.figures(t.Hash, t.CreateIndex, t.ModifyIndex)
	s.grants(&t.Grants)
}

func newACLBootstrap(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	return func(ctx context.Context, args []string) error {
		var secret struct {
			BootstrapSecret string `json:",omitempty"`
		}
		if len(args) == 1 {
			text, err := c.content(args[0])
			if err != nil {
				return failf("Error reading provided token: %w", err)
			}
			secret.BootstrapSecret = strings.TrimSpace(text)
			args = nil
		}
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		var t acl.Token
		if err := send(ctx, cl, http.MethodPut, "/v1/acl/bootstrap", secret, &t); err != nil {
			return failf("Failed ACL bootstrapping: %w", err)
		}
		return a.print(&t, func(s *sheet) { s.token(&t) })
	}
}

// agentTokens are the kinds of tokens that an agent acts with, with the names that the API has for them.
var agentTokens = map[string]string{"default": "default", "agent": "agent", "recovery": "agent_recovery", "agent_recovery": "agent_recovery",
	"master": "agent_recovery", "replication": "replication", "config_file_service_registration": "config_file_service_registration", "dns": "dns"}

func newACLSetAgentToken(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	return func(ctx context.Context, args []string) error {
		if len(args) != 2 {
			return usagef("Error! Missing TYPE and TOKEN arguments")
		}
		name := agentTokens[args[0]]
		if name == "" {
			return usagef("Unknown token type")
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		if err := cl.Put(ctx, "/v1/agent/token/"+name, nil, struct{ Token string }{args[1]}); err != nil {
			return failf("Failed to set ACL token %q: %w", args[0], err)
		}
		c.printf("ACL token %q set successfully\n", args[0])
		return nil
	}
}

// A named row is one that flags name by its ID or by its name.
type namedRow struct{ id, name string }

func (n *namedRow) flags(fs *flag.FlagSet, what string) {
	fs.StringVar(&n.id, "id", "", "The `ID` of the "+what+", or the beginning of it, if no other begins so.")
	fs.StringVar(&n.name, "name", "", "The `name` of the "+what+".")
}

func (n *namedRow) check() error {
	if n.id == "" && n.name == "" {
		return usagef("Must specify either the -id or -name parameters")
	}
	return nil
}

// find gives the whole ID of a row. The kind is policy or role; plural is the list of them.
func (n *namedRow) find(ctx context.Context, cl *client.Client, kind, plural string) (string, error) {
	if len(n.id) == 36 {
		return n.id, nil
	}
	var all []struct{ ID, Name string }
	if err := cl.Get(ctx, "/v1/acl/"+plural, nil, &all); err != nil {
		return "", err
	}
	found := ""
	for _, row := range all {
		switch {
		case n.id == "" && row.Name == n.name:
			return row.ID, nil
		case n.id != "" && strings.HasPrefix(row.ID, n.id) && found != "":
			return "", fmt.Errorf("%s ID is not unique", strings.ToUpper(kind[:1])+kind[1:])
		case n.id != "" && strings.HasPrefix(row.ID, n.id):
			found = row.ID
		}
	}
	switch {
	case found != "":
		return found, nil
	case n.id != "":
		return "", fmt.Errorf("No such %s ID with prefix: %s", kind, n.id)
	}
	return "", fmt.Errorf("No such %s with name: %s", kind, n.name)
}

func newACLPolicyCreate(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	var p acl.Policy
	fs.StringVar(&p.Name, "name", "", "The `name` of the new policy.")
	fs.StringVar(&p.Description, "description", "", "A `text` that says what it is for.")
	rules := fs.String("rules", "", "The `rules`, in HCL or JSON; or @ and the name of a file, or - for standard input.")
	fs.Var((*list)(&p.Datacenters), "valid-datacenter", "A `datacenter` in which it holds. May be repeated. Default: all.")
	return func(ctx context.Context, args []string) error {
		if p.Name == "" {
			return usagef("Missing required '-name' flag")
		}
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		if p.Rules, err = c.data(*rules); err != nil {
			return failf("Error loading rules: %w", err)
		}
		var made acl.Policy
		if err := send(ctx, cl, http.MethodPut, "/v1/acl/policy", policyForm(&p), &made); err != nil {
			return failf("Failed to create new policy: %w", err)
		}
		return a.printPolicy(&made)
	}
}

// printPolicy prints a policy; its JSON tells in each case where it holds.
func (a *aclCommand) printPolicy(p *acl.Policy) error {
	shown := struct {
		CreateIndex uint64
		Datacenters []string
		Description string
		Hash        []byte
		ID          string
		ModifyIndex uint64
		Name, Rules string
	}{p.CreateIndex, p.Datacenters, p.Description, p.Hash, p.ID, p.ModifyIndex, p.Name, p.Rules}
	return a.print(shown, func(s *sheet) { s.policy(p) })
}

// policyForm is what the API takes of a policy.
func policyForm(p *acl.Policy) any {
	return struct {
		ID, Name, Description, Rules string
		Datacenters                  []string `json:",omitempty"`
	}{p.ID, p.Name, p.Description, p.Rules, p.Datacenters}
}

func newACLPolicyRead(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	var n namedRow
	n.flags(fs, "policy")
	return func(ctx context.Context, args []string) error {
		if err := n.check(); err != nil {
			return err
		}
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		path, what := "/v1/acl/policy/name/"+n.name, n.name
		if n.id != "" {
			if what, err = n.find(ctx, cl, "policy", "policies"); err != nil {
				return failf("Error determining policy ID: %w", err)
			}
			path = "/v1/acl/policy/" + what
		}
		var p acl.Policy
		if err := cl.Get(ctx, path, nil, &p); client.NotFound(err) {
			return failf("Error policy not found: %s", what)
		} else if err != nil {
			return failf("Error reading policy %q: %w", what, err)
		}
		return a.printPolicy(&p)
	}
}

func newACLPolicyList(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	return func(ctx context.Context, args []string) error {
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		var all []*acl.PolicyStub
		if err := cl.Get(ctx, "/v1/acl/policies", nil, &all); err != nil {
			return failf("Failed to retrieve the policy list: %w", err)
		}
		return a.print(all, func(s *sheet) {
			for _, p := range all {
				s.line("%s:", p.Name)
				s.pad = "   "
				s.field("ID", p.ID)
				s.field("Description", p.Description)
				s.field("Datacenters", strings.Join(p.Datacenters, ", "))
				s.figures(p.Hash, p.CreateIndex, p.ModifyIndex)
				s.pad = ""
			}
		})
	}
}

func newACLPolicyUpdate(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	var n namedRow
	n.flags(fs, "policy; with -id it is the new name")
	var description, rules optional[string]
	var datacenters list
	fs.Var(text(&description), "description", "A `text` that says what it is for.")
	fs.Var(text(&rules), "rules", "The `rules`, in HCL or JSON; or @ and the name of a file, or - for standard input.")
	fs.Var(&datacenters, "valid-datacenter", "A `datacenter` in which it holds. May be repeated.")
	alone := fs.Bool("no-merge", false, "Take what the flags do not say as empty, in place of leaving it as it is.")
	return func(ctx context.Context, args []string) error {
		if err := n.check(); err != nil {
			return err
		}
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		id, err := n.find(ctx, cl, "policy", "policies")
		if err != nil {
			return failf("Error determining policy ID: %w", err)
		}
		var p acl.Policy
		if err := cl.Get(ctx, "/v1/acl/policy/"+id, nil, &p); err != nil {
			return failf("Error when retrieving current policy: %w", err)
		}
		if *alone {
			p = acl.Policy{ID: id, Name: p.Name}
		}
		if n.id != "" && n.name != "" {
			p.Name = n.name
		}
		p.Description = description.or(p.Description)
		if rules.set {
			if p.Rules, err = c.data(rules.value); err != nil {
				return failf("Error loading rules: %w", err)
			}
		}
		if len(datacenters) > 0 {
			p.Datacenters = datacenters
		}
		var made acl.Policy
		if err := send(ctx, cl, http.MethodPut, "/v1/acl/policy/"+id, policyForm(&p), &made); err != nil {
			return failf("Error updating policy %q: %w", id, err)
		}
		return a.printPolicy(&made)
	}
}

func newACLPolicyDelete(fs *flag.FlagSet, c *console) runFunc {
	return newACLDelete(fs, c, "policy", "policies")
}

func newACLRoleDelete(fs *flag.FlagSet, c *console) runFunc {
	return newACLDelete(fs, c, "role", "roles")
}

// newACLDelete is the command that deletes policies, and that which deletes roles.
func newACLDelete(fs *flag.FlagSet, c *console, kind, plural string) runFunc {
	cn := c.clientFlags(fs)
	var n namedRow
	n.flags(fs, kind)
	return func(ctx context.Context, args []string) error {
		if err := errors.Join(noArguments(args), n.check()); err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		id, err := n.find(ctx, cl, kind, plural)
		if err != nil {
			return failf("Error determining %s ID: %w", kind, err)
		}
		if err := cl.Call(ctx, client.Request{Method: http.MethodDelete, Path: "/v1/acl/" + kind + "/" + id}, nil); err != nil {
			return failf("Error deleting %s %q: %w", kind, id, err)
		}
		c.printf("%s %q deleted successfully\n", strings.ToUpper(kind[:1])+kind[1:], id)
		return nil
	}
}

// timeText is a duration as the API takes it; "" if it is 0.
func timeText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// only makes a query of one parameter; none if it is empty.
func only(name, value string) url.Values {
	if value == "" {
		return nil
	}
	return url.Values{name: {value}}
}
