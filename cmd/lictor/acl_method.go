package main

import (
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"time"

	"lictor/acl"
	"lictor/cmd/lictor/client"
)

func (s *sheet) method(m *acl.AuthMethod) {
	s.field("Name", m.Name)
	s.field("Type", m.Type)
	s.methodBody(m)
	if len(m.Config) > 0 {
		var config any
		if json.Unmarshal(m.Config, &config) == nil {
			if text, err := json.MarshalIndent(config, "", "  "); err == nil {
				s.line("Config:")
				s.line("%s", text)
			}
		}
	}
}

func (s *sheet) methodBody(m *acl.AuthMethod) {
	if m.DisplayName != "" {
		s.field("DisplayName", m.DisplayName)
	}
	s.field("Description", m.Description)
	if m.MaxTokenTTL > 0 {
		s.field("MaxTokenTTL", m.MaxTokenTTL)
	}
	if m.TokenLocality != "" {
		s.field("TokenLocality", m.TokenLocality)
	}
	s.figures(nil, m.CreateIndex, m.ModifyIndex)
}

func (s *sheet) rule(r *acl.BindingRule) {
	s.field("ID", r.ID)
	s.field("AuthMethod", r.AuthMethod)
	s.field("Description", r.Description)
	s.field("BindType", r.BindType)
	s.field("BindName", r.BindName)
	if r.BindVars != nil {
		s.line("BindVars:")
		s.line("   Name: %s", r.BindVars.Name)
	}
	s.field("Selector", r.Selector)
	s.figures(nil, r.CreateIndex, r.ModifyIndex)
}

// methodFlags are what an auth method is made of.
type methodFlags struct {
	display, description, locality, config optional[string]
	ttl                                    optional[time.Duration]
	host, cert, jwt                        string
}

func (f *methodFlags) add(fs *flag.FlagSet) {
	fs.Var(text(&f.display), "display-name", "A `name` for people.")
	fs.Var(text(&f.description), "description", "A `text` that says what it is for.")
	fs.Var(text(&f.locality), "token-locality", "What kind of tokens it makes: `local` or global.")
	fs.Var(text(&f.config), "config", "Its `configuration`, in JSON; or @ and the name of a file, or - for standard input.")
	fs.Var(span(&f.ttl), "max-token-ttl", "For how long its tokens are good, a `duration`.")
	fs.StringVar(&f.host, "kubernetes-host", "", "The `address` of Kubernetes' API.")
	fs.StringVar(&f.cert, "kubernetes-ca-cert", "", "The `certificates` to trust, in PEM; or @ and the name of a file, or - for standard input.")
	fs.StringVar(&f.jwt, "kubernetes-service-account-jwt", "", "The `token` of a service account that may review tokens.")
}

// apply changes a method by what the flags say.
func (f *methodFlags) apply(c *console, m *acl.AuthMethod) error {
	m.DisplayName, m.Description = f.display.or(m.DisplayName), f.description.or(m.Description)
	m.TokenLocality, m.MaxTokenTTL = f.locality.or(m.TokenLocality), f.ttl.or(m.MaxTokenTTL)
	if f.config.set {
		if f.host != "" || f.cert != "" || f.jwt != "" {
			return usagef("Cannot use command line arguments with '-config' flags")
		}
		text, err := c.data(f.config.value)
		if err != nil {
			return failf("Error loading configuration file: %w", err)
		}
		if !json.Valid([]byte(text)) {
			return failf("Error parsing JSON for auth method config: it is not valid JSON")
		}
		m.Config = acl.Document(text)
		return nil
	}
	if m.Type != "kubernetes" || f.host == "" && f.cert == "" && f.jwt == "" {
		return nil
	}
	config := struct{ Host, CACert, ServiceAccountJWT string }{}
	if len(m.Config) > 0 {
		if err := json.Unmarshal(m.Config, &config); err != nil {
			return failf("Error reading the present configuration: %w", err)
		}
	}
	cert, err := c.data(f.cert)
	if err != nil {
		return failf("Error loading kubernetes CA certificate: %w", err)
	}
	for _, set := range []struct {
		to   *string
		from string
	}{{&config.Host, f.host}, {&config.CACert, cert}, {&config.ServiceAccountJWT, f.jwt}} {
		if set.from != "" {
			*set.to = set.from
		}
	}
	m.Config, err = json.Marshal(config)
	return err
}

// needName asks for -name.
func needName(name string) error {
	if name == "" {
		return usagef("Missing required '-name' flag")
	}
	return nil
}

func newACLMethodCreate(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	var f methodFlags
	var m acl.AuthMethod
	fs.StringVar(&m.Name, "name", "", "The `name` of the new auth method.")
	fs.StringVar(&m.Type, "type", "", "Its `type`: jwt, oidc or kubernetes.")
	f.add(fs)
	return func(ctx context.Context, args []string) error {
		if m.Type == "" {
			return usagef("Missing required '-type' flag")
		}
		if err := needName(m.Name); err != nil {
			return err
		}
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		if err := f.apply(c, &m); err != nil {
			return err
		}
		return a.putMethod(ctx, cl, "/v1/acl/auth-method", &m, "Failed to create new auth method")
	}
}

func (a *aclCommand) putMethod(ctx context.Context, cl *client.Client, path string, m *acl.AuthMethod, failed string) error {
	var made acl.AuthMethod
	if err := send(ctx, cl, http.MethodPut, path, m, &made); err != nil {
		return failf("%s: %w", failed, err)
	}
	return a.print(&made, func(s *sheet) { s.method(&made) })
}

func newACLMethodRead(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	name := fs.String("name", "", "The `name` of the auth method.")
	return func(ctx context.Context, args []string) error {
		if *name == "" {
			return usagef("Must specify the -name parameter")
		}
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		var m acl.AuthMethod
		if err := cl.Get(ctx, "/v1/acl/auth-method/"+*name, nil, &m); client.NotFound(err) {
			return failf("Auth method not found with name %q", *name)
		} else if err != nil {
			return failf("Error reading auth method %q: %w", *name, err)
		}
		return a.print(&m, func(s *sheet) { s.method(&m) })
	}
}

func newACLMethodList(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	return func(ctx context.Context, args []string) error {
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		var all []*acl.AuthMethod
		if err := cl.Get(ctx, "/v1/acl/auth-methods", nil, &all); err != nil {
			return failf("Failed to retrieve the auth method list: %w", err)
		}
		return a.print(all, func(s *sheet) {
			for _, m := range all {
				s.line("%s:", m.Name)
				s.pad = "   "
				s.field("Type", m.Type)
				s.methodBody(m)
				s.pad = ""
			}
		})
	}
}

func newACLMethodUpdate(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	var f methodFlags
	name := fs.String("name", "", "The `name` of the auth method.")
	f.add(fs)
	alone := fs.Bool("no-merge", false, "Take what the flags do not say as empty, in place of leaving it as it is.")
	return func(ctx context.Context, args []string) error {
		if err := needName(*name); err != nil {
			return err
		}
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		var m acl.AuthMethod
		if err := cl.Get(ctx, "/v1/acl/auth-method/"+*name, nil, &m); client.NotFound(err) {
			return failf("Auth method not found with name %q", *name)
		} else if err != nil {
			return failf("Error when retrieving current auth method: %w", err)
		}
		if *alone {
			m = acl.AuthMethod{Name: m.Name, Type: m.Type}
		}
		if err := f.apply(c, &m); err != nil {
			return err
		}
		return a.putMethod(ctx, cl, "/v1/acl/auth-method/"+m.Name, &m, "Error updating auth method "+m.Name)
	}
}

func newACLMethodDelete(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	name := fs.String("name", "", "The `name` of the auth method.")
	return func(ctx context.Context, args []string) error {
		if *name == "" {
			return usagef("Must specify the -name parameter")
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		if err := cl.Call(ctx, client.Request{Method: http.MethodDelete, Path: "/v1/acl/auth-method/" + *name}, nil); err != nil {
			return failf("Error deleting auth method %q: %w", *name, err)
		}
		c.printf("Auth method %q deleted successfully\n", *name)
		return nil
	}
}

// ruleFlags are what a binding rule is made of.
type ruleFlags struct {
	description, selector, kind, name optional[string]
	variables                         pairs
}

func (f *ruleFlags) add(fs *flag.FlagSet) {
	f.variables = pairs{}
	fs.Var(text(&f.description), "description", "A `text` that says what it is for.")
	fs.Var(text(&f.selector), "selector", "An `expression` over what was proven: for whom the rule holds. Default: for all.")
	fs.Var(text(&f.kind), "bind-type", "What it gives: `service`, node, role, policy or templated-policy.")
	fs.Var(text(&f.name), "bind-name", "The `name` of that. ${...} stands for what was proven.")
	fs.Var(f.variables, "bind-vars", "A variable of a templated policy, `name=VALUE`.")
}

func (f *ruleFlags) apply(r *acl.BindingRule) error {
	r.Description, r.Selector = f.description.or(r.Description), f.selector.or(r.Selector)
	r.BindType, r.BindName = f.kind.or(r.BindType), f.name.or(r.BindName)
	for key, value := range f.variables {
		if key != "name" && key != "Name" {
			return usagef("-bind-vars: there is no variable %q: name is the one that templates take", key)
		}
		r.BindVars = &acl.TemplateVariables{Name: value}
	}
	return nil
}

func (a *aclCommand) putRule(ctx context.Context, cl *client.Client, path string, r *acl.BindingRule, failed string) error {
	var made acl.BindingRule
	if err := send(ctx, cl, http.MethodPut, path, r, &made); err != nil {
		return failf("%s: %w", failed, err)
	}
	return a.print(&made, func(s *sheet) { s.rule(&made) })
}

func newACLRuleCreate(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	var f ruleFlags
	var r acl.BindingRule
	fs.StringVar(&r.AuthMethod, "method", "", "The `name` of the auth method that it is for.")
	f.add(fs)
	return func(ctx context.Context, args []string) error {
		switch {
		case r.AuthMethod == "":
			return usagef("Missing required '-method' flag")
		case f.kind.value == "":
			return usagef("Missing required '-bind-type' flag")
		case f.name.value == "":
			return usagef("Missing required '-bind-name' flag")
		}
		if err := f.apply(&r); err != nil {
			return err
		}
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		return a.putRule(ctx, cl, "/v1/acl/binding-rule", &r, "Failed to create new binding rule")
	}
}

// findRule gives the whole ID of a binding rule.
func findRule(ctx context.Context, cl *client.Client, id string) (string, error) {
	n := namedRow{id: id}
	whole, err := n.find(ctx, cl, "binding rule", "binding-rules")
	if err != nil {
		return "", failf("Error determining binding rule ID: %w", err)
	}
	return whole, nil
}

func newACLRuleRead(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	id := fs.String("id", "", "The `ID` of the binding rule, or the beginning of it.")
	return func(ctx context.Context, args []string) error {
		if *id == "" {
			return usagef("Must specify the -id parameter.")
		}
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		whole, err := findRule(ctx, cl, *id)
		if err != nil {
			return err
		}
		var r acl.BindingRule
		if err := cl.Get(ctx, "/v1/acl/binding-rule/"+whole, nil, &r); client.NotFound(err) {
			return failf("Binding rule not found with ID %q", whole)
		} else if err != nil {
			return failf("Error reading binding rule %q: %w", whole, err)
		}
		return a.print(&r, func(s *sheet) { s.rule(&r) })
	}
}

func newACLRuleList(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	method := fs.String("method", "", "Only those for the auth method with this `name`.")
	return func(ctx context.Context, args []string) error {
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		var all []*acl.BindingRule
		if err := cl.Get(ctx, "/v1/acl/binding-rules", only("authmethod", *method), &all); err != nil {
			return failf("Failed to retrieve the binding rule list: %w", err)
		}
		return a.print(all, func(s *sheet) {
			for _, r := range all {
				s.line("%s:", r.ID)
				s.pad = "   "
				s.rule(r)
				s.pad = ""
			}
		})
	}
}

func newACLRuleUpdate(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	var f ruleFlags
	id := fs.String("id", "", "The `ID` of the binding rule, or the beginning of it.")
	f.add(fs)
	alone := fs.Bool("no-merge", false, "Take what the flags do not say as empty, in place of leaving it as it is.")
	return func(ctx context.Context, args []string) error {
		if *id == "" {
			return usagef("Cannot update a binding rule without specifying the -id parameter")
		}
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		whole, err := findRule(ctx, cl, *id)
		if err != nil {
			return err
		}
		var r acl.BindingRule
		if err := cl.Get(ctx, "/v1/acl/binding-rule/"+whole, nil, &r); err != nil {
			return failf("Error when retrieving current binding rule: %w", err)
		}
		if *alone {
			r = acl.BindingRule{ID: r.ID, AuthMethod: r.AuthMethod}
		}
		if err := f.apply(&r); err != nil {
			return err
		}
		return a.putRule(ctx, cl, "/v1/acl/binding-rule/"+whole, &r, "Error updating binding rule "+whole)
	}
}

func newACLRuleDelete(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	id := fs.String("id", "", "The `ID` of the binding rule, or the beginning of it.")
	return func(ctx context.Context, args []string) error {
		if *id == "" {
			return usagef("Must specify the -id parameter.")
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		whole, err := findRule(ctx, cl, *id)
		if err != nil {
			return err
		}
		if err := cl.Call(ctx, client.Request{Method: http.MethodDelete, Path: "/v1/acl/binding-rule/" + whole}, nil); err != nil {
			return failf("Error deleting binding rule %q: %w", whole, err)
		}
		c.printf("Binding rule %q deleted successfully\n", whole)
		return nil
	}
}
