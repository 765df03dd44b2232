package main

import (
	"context"
	"flag"
	"net/http"

	"lictor/acl"
	"lictor/cmd/lictor/client"
)

func newACLRoleCreate(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	var r acl.Role
	var g grantFlags
	fs.StringVar(&r.Name, "name", "", "The `name` of the new role.")
	fs.StringVar(&r.Description, "description", "", "A `text` that says what it is for.")
	g.add(fs, "", false)
	g.templateFlags(fs, "templated-policy")
	fs.StringVar(&g.templateFile, "templated-policy-file", "", "A `file` of templated policies.")
	fs.Var(&g.variables, "var", "A variable of the template, `name:VALUE`.")
	return func(ctx context.Context, args []string) error {
		if r.Name == "" {
			return usagef("Missing required '-name' flag")
		}
		if g.none() {
			return failf("Cannot create a role without specifying -policy-name, -policy-id, -service-identity, -node-identity, -templated-policy, or -templated-policy-file at least once")
		}
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		if r.Grants, err = g.grants(); err != nil {
			return usagef("%w", err)
		}
		return a.putRole(ctx, cl, "/v1/acl/role", &r, "Failed to create new role")
	}
}

// putRole writes a role and prints it as it is then.
func (a *aclCommand) putRole(ctx context.Context, cl *client.Client, path string, r *acl.Role, failed string) error {
	var made acl.Role
	if err := send(ctx, cl, http.MethodPut, path, r, &made); err != nil {
		return failf("%s: %w", failed, err)
	}
	return a.print(&made, func(s *sheet) { s.role(&made) })
}

func newACLRoleRead(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	var n namedRow
	n.flags(fs, "role")
	return func(ctx context.Context, args []string) error {
		if err := n.check(); err != nil {
			return err
		}
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		path, missing := "/v1/acl/role/name/"+n.name, failf("Role not found with name %q", n.name)
		if n.id != "" {
			id, err := n.find(ctx, cl, "role", "roles")
			if err != nil {
				return failf("Error determining role ID: %w", err)
			}
			path, missing = "/v1/acl/role/"+id, failf("Role not found with ID %q", id)
		}
		var r acl.Role
		if err := cl.Get(ctx, path, nil, &r); client.NotFound(err) {
			return missing
		} else if err != nil {
			return failf("Error reading role: %w", err)
		}
		return a.print(&r, func(s *sheet) { s.role(&r) })
	}
}

func newACLRoleList(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	return func(ctx context.Context, args []string) error {
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		var all []*acl.Role
		if err := cl.Get(ctx, "/v1/acl/roles", nil, &all); err != nil {
			return failf("Failed to retrieve the role list: %w", err)
		}
		return a.print(all, func(s *sheet) {
			for _, r := range all {
				s.line("%s:", r.Name)
				s.pad = "   "
				s.field("ID", r.ID)
				s.roleBody(r)
				s.pad = ""
			}
		})
	}
}

func newACLRoleUpdate(fs *flag.FlagSet, c *console) runFunc {
	a := c.aclFlags(fs)
	a.metaFlag(fs)
	var n namedRow
	var more, instead grantFlags
	var description optional[string]
	n.flags(fs, "role; with -id it is the new name")
	fs.Var(text(&description), "description", "A `text` that says what it is for.")
	more.add(fs, "", false)
	more.templateFlags(fs, "append-templated-policy")
	instead.templateFlags(fs, "replace-templated-policy")
	fs.StringVar(&more.templateFile, "append-templated-policy-file", "", "A `file` of templated policies to add.")
	fs.StringVar(&instead.templateFile, "replace-templated-policy-file", "", "A `file` of templated policies to put in the place of others.")
	var variables list
	fs.Var(&variables, "var", "A variable of the template, `name:VALUE`.")
	alone := fs.Bool("no-merge", false, "Take what the flags do not say as empty, in place of leaving it as it is.")
	return func(ctx context.Context, args []string) error {
		if err := n.check(); err != nil {
			return err
		}
		cl, err := a.open(args)
		if err != nil {
			return err
		}
		id, err := n.find(ctx, cl, "role", "roles")
		if err != nil {
			return failf("Error determining role ID: %w", err)
		}
		var r acl.Role
		if err := cl.Get(ctx, "/v1/acl/role/"+id, nil, &r); err != nil {
			return failf("Error when retrieving current role: %w", err)
		}
		if *alone {
			r = acl.Role{ID: id, Name: r.Name}
		}
		if n.id != "" && n.name != "" {
			r.Name = n.name
		}
		r.Description = description.or(r.Description)
		if err := changeGrants(&r.Grants, &more, &instead, variables); err != nil {
			return err
		}
		return a.putRole(ctx, cl, "/v1/acl/role/"+id, &r, "Failed to update role")
	}
}

// changeGrants applies the flags that add and those that replace.
func changeGrants(to *acl.Grants, more, instead *grantFlags, variables list) error {
	if more.template != "" {
		more.variables = variables
	} else {
		instead.variables = variables
	}
	added, err := more.grants()
	if err != nil {
		return usagef("%w", err)
	}
	replaced, err := instead.grants()
	if err != nil {
		return usagef("%w", err)
	}
	replaceGrants(to, replaced)
	mergeGrants(to, added)
	return nil
}
