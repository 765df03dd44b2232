package main

import (
	"context"
	"encoding/json"
	"flag"
	"net/http"

	"lictor/acl"
	"lictor/cmd/lictor/client"
)

// newToken is what the API takes of a new token.
type newToken struct {
	ExpirationTTL string `json:",omitempty"`
	AccessorID    string `json:",omitempty"`
	SecretID      string `json:",omitempty"`
	Description   string
	acl.Grants
	Local bool
}

func newACLTokenCreate(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	var t newToken
	var g grantFlags
	fs.StringVar(&t.AccessorID, "accessor", "", "The accessor, a `UUID`. Default: a new one.")
	fs.StringVar(&t.SecretID, "secret", "", "The secret, a `UUID`. Default: a new one.")
	fs.StringVar(&t.Description, "description", "", "A `text` that says what it is for.")
	fs.BoolVar(&t.Local, "local", false, "Make a token that is good in this datacenter only.")
	ttl := fs.Duration("expires-ttl", 0, "For how long it is good, a `duration`. Default: for ever.")
	g.add(fs, "", true)
	g.templateFlags(fs, "templated-policy")
	fs.StringVar(&g.templateFile, "templated-policy-file", "", "A `file` of templated policies.")
	fs.Var(&g.variables, "var", "A variable of the template, `name:VALUE`.")
	return func(ctx context.Context, args []string) error {
		if g.none() {
			return failf("Cannot create a token without specifying -policy-name, -policy-id, -role-name, -role-id, -service-identity, -node-identity, -templated-policy, or -templated-policy-file at least once")
		}
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		if t.Grants, err = g.grants(); err != nil {
			return usagef("%w", err)
		}
		t.ExpirationTTL = timeText(*ttl)
		return a.putToken(ctx, cl, "/v1/acl/token", &t, "Failed to create new token")
	}
}

// putToken writes a token and prints it as it is then.
func (a *aclCommand) putToken(ctx context.Context, cl *client.Client, path string, in any, failed string) error {
	var made acl.Token
	if err := send(ctx, cl, http.MethodPut, path, in, &made); err != nil {
		return failf("%s: %w", failed, err)
	}
	return a.print(&made, func(s *sheet) { s.token(&made) })
}

// accessorFlag names a token. -id is what older versions called it.
func accessorFlag(fs *flag.FlagSet) *string {
	id := fs.String("accessor-id", "", "The `accessor` of the token, or the beginning of it, if no other begins so.")
	fs.StringVar(id, "id", "", "The same as -accessor-id.")
	return id
}

func needAccessor(id string) error {
	if id == "" {
		return usagef("Must specify the -accessor-id parameter")
	}
	return nil
}

// findToken gives the whole accessor.
func findToken(ctx context.Context, cl *client.Client, id string) (string, error) {
	if len(id) == 36 {
		return id, nil
	}
	var all []*acl.Token
	if err := cl.Get(ctx, "/v1/acl/tokens", nil, &all); err != nil {
		return "", failf("Error determining token ID: %w", err)
	}
	found := ""
	for _, t := range all {
		if len(t.AccessorID) >= len(id) && t.AccessorID[:len(id)] == id {
			if found != "" {
				return "", failf("Error determining token ID: Partial token ID is not unique")
			}
			found = t.AccessorID
		}
	}
	if found == "" {
		return "", failf("Error determining token ID: No such token ID with prefix: %s", id)
	}
	return found, nil
}

func newACLTokenRead(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	id := accessorFlag(fs)
	self := fs.Bool("self", false, "Read the token that the request is made with.")
	expanded := fs.Bool("expanded", false, "Print the policies and roles that the token amounts to, too.")
	return func(ctx context.Context, args []string) error {
		if *self && *expanded {
			return failf("Cannot use both -expanded and -self. Instead, use -expanded and -accessor-id=<accessor id>.")
		}
		if !*self {
			if err := needAccessor(*id); err != nil {
				return err
			}
		}
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		path, query := "/v1/acl/token/self", only("expanded", "")
		if !*self {
			whole, err := findToken(ctx, cl, *id)
			if err != nil {
				return err
			}
			*id, path = whole, "/v1/acl/token/"+whole
		}
		if *expanded {
			query = only("expanded", "true")
		}
		var raw json.RawMessage
		if err := cl.Get(ctx, path, query, &raw); err != nil && *self {
			return failf("Error reading token: %w", err)
		} else if err != nil {
			return failf("Error reading token %q: %w", *id, err)
		}
		return a.printToken(raw)
	}
}

// printToken prints a token as the API has it, with what it amounts to.
func (a *aclCommand) printToken(raw json.RawMessage) error {
	var t acl.Token
	var more struct {
		ExpandedPolicies                                           []*acl.Policy
		ExpandedRoles                                              []*acl.Role
		AgentACLDefaultPolicy, AgentACLDownPolicy, ResolvedByAgent string
	}
	var shown map[string]any
	for _, into := range []any{&t, &more, &shown} {
		if err := json.Unmarshal(raw, into); err != nil {
			return failf("Error reading token: %w", err)
		}
	}
	return a.print(shown, func(s *sheet) {
		s.token(&t)
		if more.ResolvedByAgent == "" {
			return
		}
		s.line("=== End of Authorizer Layer 0: Token ===")
		for _, r := range more.ExpandedRoles {
			s.line("Role:")
			s.pad = "   "
			s.role(r)
			s.pad = ""
		}
		for _, p := range more.ExpandedPolicies {
			s.line("Policy:")
			s.pad = "   "
			s.policy(p)
			s.pad = ""
		}
		s.line("Default Policy: %s", more.AgentACLDefaultPolicy)
		s.line("Down Policy:    %s", more.AgentACLDownPolicy)
		s.line("Resolved By:    %s", more.ResolvedByAgent)
	})
}

func newACLTokenList(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	return func(ctx context.Context, args []string) error {
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		var all []*acl.Token
		if err := cl.Get(ctx, "/v1/acl/tokens", nil, &all); err != nil {
			return failf("Failed to retrieve the token list: %w", err)
		}
		return a.print(all, func(s *sheet) {
			for i, t := range all {
				if i > 0 {
					s.line("")
				}
				s.token(t)
			}
		})
	}
}

func newACLTokenClone(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	id := accessorFlag(fs)
	description := fs.String("description", "", "A `text` that says what the new one is for.")
	return func(ctx context.Context, args []string) error {
		if err := needAccessor(*id); err != nil {
			return err
		}
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		of, err := findToken(ctx, cl, *id)
		if err != nil {
			return err
		}
		return a.putToken(ctx, cl, "/v1/acl/token/"+of+"/clone", struct{ Description string }{*description}, "Error cloning token")
	}
}

func newACLTokenUpdate(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	id := accessorFlag(fs)
	var more, instead grantFlags
	var description optional[string]
	fs.Var(text(&description), "description", "A `text` that says what it is for.")
	instead.add(fs, "", true)
	more.add(fs, "append-", true)
	more.templateFlags(fs, "append-templated-policy")
	instead.templateFlags(fs, "replace-templated-policy")
	var variables list
	fs.Var(&variables, "var", "A variable of the template, `name:VALUE`.")
	return func(ctx context.Context, args []string) error {
		if err := needAccessor(*id); err != nil {
			return err
		}
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		whole, err := findToken(ctx, cl, *id)
		if err != nil {
			return err
		}
		var t acl.Token
		if err := cl.Get(ctx, "/v1/acl/token/"+whole, nil, &t); err != nil {
			return failf("Error when retrieving current token: %w", err)
		}
		t.Description = description.or(t.Description)
		if err := changeGrants(&t.Grants, &more, &instead, variables); err != nil {
			return err
		}
		return a.putToken(ctx, cl, "/v1/acl/token/"+whole, &t, "Failed to update token "+whole)
	}
}

func newACLTokenDelete(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	id := accessorFlag(fs)
	return func(ctx context.Context, args []string) error {
		if err := needAccessor(*id); err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		whole, err := findToken(ctx, cl, *id)
		if err != nil {
			return err
		}
		if err := cl.Call(ctx, client.Request{Method: http.MethodDelete, Path: "/v1/acl/token/" + whole}, nil); err != nil {
			return failf("Error deleting token %q: %w", whole, err)
		}
		c.printf("Token %q deleted successfully\n", whole)
		return nil
	}
}
