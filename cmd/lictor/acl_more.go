package main

import (
	"context"
	"flag"
	"maps"
	"net/http"
	"slices"
	"strings"

	"lictor/acl"
	"lictor/cmd/lictor/client"
)

func newACLTemplateList(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	return func(ctx context.Context, args []string) error {
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		all := map[string]*acl.Template{}
		if err := cl.Get(ctx, "/v1/acl/templated-policies", nil, &all); err != nil {
			return failf("Failed to retrieve the templated policies list: %w", err)
		}
		return a.print(all, func(s *sheet) {
			for _, name := range slices.Sorted(maps.Keys(all)) {
				s.line("%s", name)
			}
		})
	}
}

func newACLTemplateRead(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	name := fs.String("name", "", "The `name` of the template.")
	return func(ctx context.Context, args []string) error {
		if *name == "" {
			return usagef("Must specify the -name parameter")
		}
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		var t acl.Template
		if err := cl.Get(ctx, "/v1/acl/templated-policy/name/"+*name, nil, &t); err != nil {
			return failf("Error reading templated policy %q: %w", *name, err)
		}
		return a.print(&t, func(s *sheet) {
			s.field("Name", t.TemplateName)
			s.field("Description", t.Description)
			variables := "None"
			if t.Schema != "" {
				variables = "Name: String - Required"
			}
			s.field("Input variables", variables)
			if s.meta {
				s.line("Schema:")
				s.line("%s", t.Schema)
				s.line("Raw Template:")
				s.line("%s", t.Template)
			}
		})
	}
}

func newACLTemplatePreview(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	var g grantFlags
	g.templateFlags(fs, "name")
	fs.StringVar(&g.templateFile, "file", "", "A `file` of templated policies, of which the first is shown.")
	fs.Var(&g.variables, "var", "A variable of the template, `name:VALUE`.")
	return func(ctx context.Context, args []string) error {
		if g.template == "" && g.templateFile == "" {
			return usagef("Cannot preview a templated policy without specifying -name or -file")
		}
		var grants acl.Grants
		if err := g.templates(&grants); err != nil {
			return usagef("%w", err)
		}
		if len(grants.TemplatedPolicies) == 0 {
			return failf("The file names no templated policy")
		}
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		of := grants.TemplatedPolicies[0]
		var p acl.Policy
		if err := send(ctx, cl, http.MethodPost, "/v1/acl/templated-policy/preview/"+of.TemplateName, of.TemplateVariables, &p); err != nil {
			return failf("Failed to generate the templated policy preview: %w", err)
		}
		return a.printPolicy(&p)
	}
}

func newACLExplain(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	var q acl.Question
	fs.StringVar(&q.AccessorID, "accessor-id", "", "The `accessor` of the token to look at. Default: that of the request.")
	return func(ctx context.Context, args []string) error {
		if len(args) != 2 && len(args) != 3 {
			return usagef("A resource, an access and, for most resources, a name are needed")
		}
		q.Resource, q.Access, q.Name = args[0], args[1], strings.Join(args[2:], "")
		cl, err := a.open(nil)
		if err != nil {
			return err
		}
		var e acl.Explanation
		if err := send(ctx, cl, http.MethodPost, "/v1/acl/explain", &q, &e); err != nil {
			return failf("Error explaining the access: %w", err)
		}
		return a.print(&e, func(s *sheet) { s.explanation(&q, &e) })
	}
}

func (s *sheet) explanation(q *acl.Question, e *acl.Explanation) {
	verdict := "denied"
	if e.Allowed {
		verdict = "allowed"
	}
	s.line("%s:%s %q is %s to the token with accessor %s.", q.Resource, q.Access, q.Name, verdict, e.AccessorID)
	if e.Deciding != "" {
		s.line("Rule %s of policy %q decides.", e.Deciding, e.Policy)
	} else {
		s.line("No rule speaks of it, so the default policy holds, which is %s.", e.Default)
	}
	for _, o := range e.Others {
		s.line("  put aside: %s of policy %q", o.Rule, o.Policy)
	}
	if e.Needed != "" {
		s.line("A policy that would allow it:")
		s.line("%s", e.Needed)
	}
}

func newLogout(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		if err := cl.Call(ctx, client.Request{Method: http.MethodPost, Path: "/v1/acl/logout"}, nil); err != nil {
			return failf("Error destroying token: %w", err)
		}
		return nil
	}
}
