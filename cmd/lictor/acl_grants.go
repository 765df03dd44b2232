package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"

	"lictor/acl"
	"lictor/hcltext"
)

// grantFlags collect what a token or a role is to hold.
type grantFlags struct {
	policyIDs, policyNames, roleIDs, roleNames list
	services, nodes                            list
	template, templateFile                     string
	variables                                  list
}

// add declares the flags; prefix is "append-" for those that add to what is there.
func (g *grantFlags) add(fs *flag.FlagSet, prefix string, roles bool) {
	fs.Var(&g.policyIDs, prefix+"policy-id", "The `ID` of a policy. May be repeated.")
	fs.Var(&g.policyNames, prefix+"policy-name", "The `name` of a policy. May be repeated.")
	if roles {
		fs.Var(&g.roleIDs, prefix+"role-id", "The `ID` of a role. May be repeated.")
		fs.Var(&g.roleNames, prefix+"role-name", "The `name` of a role. May be repeated.")
	}
	fs.Var(&g.services, prefix+"service-identity", "The name of a service, or `NAME:DC1,DC2`, that the holder may act as. May be repeated.")
	fs.Var(&g.nodes, prefix+"node-identity", "A node, `NAME:DC`, that the holder may act as. May be repeated.")
}

// templateFlags declares those of templated policies.
func (g *grantFlags) templateFlags(fs *flag.FlagSet, name string) {
	fs.StringVar(&g.template, name, "", "The `name` of a template. Needs -var where the template takes variables.")
}

func (g *grantFlags) none() bool {
	return len(g.policyIDs)+len(g.policyNames)+len(g.roleIDs)+len(g.roleNames)+len(g.services)+len(g.nodes) == 0 && g.template == "" && g.templateFile == ""
}

// grants reads the flags.
func (g *grantFlags) grants() (acl.Grants, error) {
	var out acl.Grants
	for _, id := range g.policyIDs {
		out.Policies = append(out.Policies, acl.Link{ID: id})
	}
	for _, name := range g.policyNames {
		out.Policies = append(out.Policies, acl.Link{Name: name})
	}
	for _, id := range g.roleIDs {
		out.Roles = append(out.Roles, acl.Link{ID: id})
	}
	for _, name := range g.roleNames {
		out.Roles = append(out.Roles, acl.Link{Name: name})
	}
	for _, s := range g.services {
		name, dcs, has := strings.Cut(s, ":")
		i := acl.ServiceIdentity{ServiceName: name}
		if has {
			i.Datacenters = strings.Split(dcs, ",")
		}
		out.ServiceIdentities = append(out.ServiceIdentities, i)
	}
	for _, n := range g.nodes {
		name, dc, ok := strings.Cut(n, ":")
		if !ok || strings.Contains(dc, ":") {
			return out, fmt.Errorf("Malformed -node-identity argument: %q: it is of the form NAME:DATACENTER", n)
		}
		out.NodeIdentities = append(out.NodeIdentities, acl.NodeIdentity{NodeName: name, Datacenter: dc})
	}
	return out, g.templates(&out)
}

func (g *grantFlags) templates(out *acl.Grants) error {
	switch {
	case g.template != "" && g.templateFile != "":
		return fmt.Errorf("Cannot combine the use of -templated-policy flag with -templated-policy-file.")
	case g.templateFile != "":
		more, err := readTemplates(g.templateFile)
		out.TemplatedPolicies = more
		return err
	case g.template != "":
		v, err := templateVariables(g.variables)
		out.TemplatedPolicies = []acl.TemplatedPolicy{{TemplateName: g.template, TemplateVariables: v}}
		return err
	case len(g.variables) > 0:
		return fmt.Errorf("-var goes with a template only")
	}
	return nil
}

// templateVariables reads name:value.
func templateVariables(all list) (*acl.TemplateVariables, error) {
	if len(all) == 0 {
		return nil, nil
	}
	var v acl.TemplateVariables
	for _, one := range all {
		name, value, ok := strings.Cut(one, ":")
		if !ok || !strings.EqualFold(name, "name") {
			return nil, fmt.Errorf("-var %q is not of the form name:VALUE", one)
		}
		v.Name = value
	}
	return &v, nil
}

// readTemplates reads a file of templated policies, in HCL or JSON: the name of a template with a list of its variables.
func readTemplates(file string) ([]acl.TemplatedPolicy, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read templated policies: %w", err)
	}
	var raw struct {
		TemplatedPolicies map[string][]map[string]any
	}
	if json.Unmarshal(text, &raw) != nil {
		if err := hcltext.Decode(&raw, string(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	var out []acl.TemplatedPolicy
	for name, uses := range raw.TemplatedPolicies {
		for _, use := range uses {
			p := acl.TemplatedPolicy{TemplateName: name}
			for key, value := range use {
				if text, ok := value.(string); ok && strings.EqualFold(key, "name") {
					p.TemplateVariables = &acl.TemplateVariables{Name: text}
				}
			}
			out = append(out, p)
		}
	}
	return out, nil
}

// mergeGrants adds grants to others. Links are added once.
func mergeGrants(to *acl.Grants, more acl.Grants) {
	to.Policies = mergeLinks(to.Policies, more.Policies)
	to.Roles = mergeLinks(to.Roles, more.Roles)
	to.ServiceIdentities = append(to.ServiceIdentities, more.ServiceIdentities...)
	to.NodeIdentities = append(to.NodeIdentities, more.NodeIdentities...)
	to.TemplatedPolicies = append(to.TemplatedPolicies, more.TemplatedPolicies...)
}

func mergeLinks(to, more []acl.Link) []acl.Link {
	for _, l := range more {
		known := false
		for _, o := range to {
			known = known || l.ID != "" && o.ID == l.ID || l.ID == "" && o.Name == l.Name
		}
		if !known {
			to = append(to, l)
		}
	}
	return to
}

// replaceGrants puts grants in the place of those of the same kind.
func replaceGrants(to *acl.Grants, more acl.Grants) {
	if len(more.Policies) > 0 {
		to.Policies = more.Policies
	}
	if len(more.Roles) > 0 {
		to.Roles = more.Roles
	}
	if len(more.ServiceIdentities) > 0 {
		to.ServiceIdentities = more.ServiceIdentities
	}
	if len(more.NodeIdentities) > 0 {
		to.NodeIdentities = more.NodeIdentities
	}
	if len(more.TemplatedPolicies) > 0 {
		to.TemplatedPolicies = more.TemplatedPolicies
	}
}
