package acl

import (
	"slices"
	"strings"

	"lictor/state"
)

// settle looks at grants that came from a client: links become those of rows that are there, and identities and
// templates have to be well formed. Holder is what they are for, token or role.
func settle(tx *state.Tx, g *Grants, holder string) error {
	var err error
	if g.Policies, err = settleLinks(g.Policies, "policy", func(l Link) (Link, bool) {
		p := policyByName(tx, l.Name)
		if l.ID != "" {
			p = Policies.Get(tx, strings.ToLower(l.ID))
		}
		if p == nil {
			return l, false
		}
		return Link{p.ID, p.Name}, true
	}); err != nil {
		return err
	}
	if g.Roles, err = settleLinks(g.Roles, "role", func(l Link) (Link, bool) {
		r := roleByName(tx, l.Name)
		if l.ID != "" {
			r = Roles.Get(tx, strings.ToLower(l.ID))
		}
		if r == nil {
			return l, false
		}
		return Link{r.ID, r.Name}, true
	}); err != nil {
		return err
	}
	if err := settleServices(g, holder); err != nil {
		return err
	}
	if err := settleNodes(g, holder); err != nil {
		return err
	}
	return settleTemplates(g)
}

// settleLinks finds what links name. Each is kept once.
func settleLinks(links []Link, kind string, find func(Link) (Link, bool)) ([]Link, error) {
	var out []Link
	for _, l := range links {
		found, ok := find(l)
		switch {
		case !ok && l.ID != "":
			return nil, refuse("No such ACL %s with ID %q", kind, l.ID)
		case !ok:
			return nil, refuse("No such ACL %s with name %q", kind, l.Name)
		}
		if !slices.ContainsFunc(out, func(o Link) bool { return o.ID == found.ID }) {
			out = append(out, found)
		}
	}
	return out, nil
}

func settleServices(g *Grants, holder string) error {
	for i := range g.ServiceIdentities {
		s := &g.ServiceIdentities[i]
		switch {
		case s.ServiceName == "":
			return refuse("Service identity is missing the service name field on this %s", holder)
		case len(s.ServiceName) > 256 || !identityName.MatchString(s.ServiceName):
			return refuse("Service identity %q has an invalid name. Only lowercase alphanumeric characters, '-' and '_' are allowed", s.ServiceName)
		}
		if len(s.Datacenters) == 0 {
			s.Datacenters = nil
		}
	}
	if len(g.ServiceIdentities) == 0 {
		g.ServiceIdentities = nil
	}
	return nil
}

func settleNodes(g *Grants, holder string) error {
	for _, n := range g.NodeIdentities {
		switch {
		case n.NodeName == "":
			return refuse("Node identity is missing the node name field on this %s", holder)
		case n.Datacenter == "":
			return refuse("Node identity is missing the datacenter field on this %s", holder)
		case len(n.NodeName) > 256 || !identityName.MatchString(n.NodeName):
			return refuse("Node identity %q has an invalid name. Only lowercase alphanumeric characters, '-' and '_' are allowed", n.NodeName)
		}
	}
	if len(g.NodeIdentities) == 0 {
		g.NodeIdentities = nil
	}
	return nil
}

func settleTemplates(g *Grants) error {
	for i := range g.TemplatedPolicies {
		p := &g.TemplatedPolicies[i]
		t := FindTemplate(p.TemplateName, p.TemplateID)
		switch {
		case p.TemplateName == "" && p.TemplateID == "":
			return refuse("templated policy is missing the template name field on this token")
		case t == nil:
			return refuse("no such ACL templated policy with Name %q", p.TemplateName)
		case t.named && p.TemplateVariables == nil:
			return refuse("validation error for templated policy %q: 1 error occurred:\n\t* Invalid type. Expected: object, given: null\n\n", t.TemplateName)
		case t.named && p.TemplateVariables.Name == "":
			return refuse("validation error for templated policy %q: 1 error occurred:\n\t* name is required\n\n", t.TemplateName)
		}
		if err := t.check(p.TemplateVariables); err != nil {
			return refuse("validation error for templated policy: %q: %s", t.TemplateName, err)
		}
		p.TemplateID, p.TemplateName = t.id, t.TemplateName
		if !t.named {
			p.TemplateVariables = nil
		}
		if len(p.Datacenters) == 0 {
			p.Datacenters = nil
		}
	}
	if len(g.TemplatedPolicies) == 0 {
		g.TemplatedPolicies = nil
	}
	return nil
}
