package acl

import (
	"fmt"
	"slices"
	"strings"

	"lictor/rpc"
)

// A Template is what policies for a common purpose are made of.
type Template struct {
	TemplateName string
	Schema       string
	Template     string
	Description  string

	id    string
	named bool // takes a name
}

const nameSchema = `{
	"type": "object",
	"properties": {
		"name": { "type": "string", "$ref": "#/definitions/min-length-one" }
	},
	"required": ["name"],
	"definitions": {
		"min-length-one": { "type": "string", "minLength": 1 }
	}
}`

// The texts of templates; {{.Name}} stands for the name.
const (
	serviceTemplate = `service "{{.Name}}" {
	policy = "write"
}
service "{{.Name}}-sidecar-proxy" {
	policy = "write"
}
service_prefix "" {
	policy = "read"
}
node_prefix "" {
	policy = "read"
}`
	nodeTemplate = `node "{{.Name}}" {
	policy = "write"
}
service_prefix "" {
	policy = "read"
}`
	dnsTemplate = `node_prefix "" {
	policy = "read"
}
service_prefix "" {
	policy = "read"
}
query_prefix "" {
	policy = "read"
}`
	nomadServerTemplate = `acl = "write"
agent_prefix "" {
	policy = "read"
}
node_prefix "" {
	policy = "read"
}
service_prefix "" {
	policy = "write"
}`
	gatewayTemplate = `mesh = "read"
node_prefix "" {
	policy = "read"
}
service_prefix "" {
	policy = "read"
}
service "{{.Name}}" {
	policy = "write"
}`
	nomadClientTemplate = `agent_prefix "" {
	policy = "read"
}
node_prefix "" {
	policy = "read"
}
service_prefix "" {
	policy = "write"
}
key_prefix "" {
	policy = "read"
}`
)

// Templates lists the templates that there are.
func Templates() []*Template {
	return []*Template{
		{id: templateID(8), TemplateName: "builtin/api-gateway", Template: gatewayTemplate, Schema: nameSchema, named: true,
			Description: "Gives the token or role permissions for a Consul api gateway"},
		{id: templateID(5), TemplateName: "builtin/dns", Template: dnsTemplate,
			Description: "Gives the token or role permissions for the Consul DNS to query services in the network."},
		{id: templateID(4), TemplateName: "builtin/node", Template: nodeTemplate, Schema: nameSchema, named: true,
			Description: "Gives the token or role permissions for a register an agent/node into the catalog. A node is typically a consul agent but can also be a physical server, cloud instance or a container."},
		{id: templateID(9), TemplateName: "builtin/nomad-client", Template: nomadClientTemplate,
			Description: "Gives the token or role permissions required for integration with a nomad client."},
		{id: templateID(6), TemplateName: "builtin/nomad-server", Template: nomadServerTemplate,
			Description: "Gives the token or role permissions required for integration with a nomad server."},
		{id: templateID(3), TemplateName: "builtin/service", Template: serviceTemplate, Schema: nameSchema, named: true,
			Description: "Gives the token or role permissions to register a service and discover services in the Consul catalog. It also gives the specified service's sidecar proxy the permission to discover and route traffic to other services."},
	}
}

func templateID(n int) string { return fmt.Sprintf("00000000-0000-0000-0000-%012d", n) }

// FindTemplate finds a template by its name or ID, or nil.
func FindTemplate(name, id string) *Template {
	all := Templates()
	i := slices.IndexFunc(all, func(t *Template) bool {
		return name != "" && t.TemplateName == name || name == "" && t.id == id
	})
	if i < 0 {
		return nil
	}
	return all[i]
}

// Preview is the policy that a template makes of variables.
func (t *Template) Preview(v *TemplateVariables, datacenters []string) (*Policy, error) {
	if err := t.check(v); err != nil {
		return nil, rpc.Errorf(rpc.Invalid, "validation error for templated policy: %q: %s", t.TemplateName, err)
	}
	p := t.policy(v, datacenters)
	p.Hash = hashOf(p)
	return p, nil
}

// check tells what is wrong with the variables.
func (t *Template) check(v *TemplateVariables) error {
	name := ""
	if v != nil {
		name = v.Name
	}
	if t.named && !identityName.MatchString(name) {
		what := "service"
		if t.TemplateName == "builtin/node" {
			what = "node"
		}
		return fmt.Errorf("%s identity %q has an invalid name. Only lowercase alphanumeric characters, '-' and '_' are allowed", what, name)
	}
	return nil
}

// policy is the policy that a template makes of variables that have been checked.
func (t *Template) policy(v *TemplateVariables, datacenters []string) *Policy {
	name := ""
	if v != nil {
		name = v.Name
	}
	text := strings.ReplaceAll(t.Template, "{{.Name}}", name)
	id := fmt.Sprintf("%x", hashOf(text)[:8])
	return &Policy{ID: id, Name: "synthetic-policy-" + id, Rules: text, Datacenters: datacenters,
		Description: fmt.Sprintf("synthetic policy generated from templated policy: %s", t.TemplateName)}
}

// servicePolicy is what an identity of a service gives.
func servicePolicy(s ServiceIdentity) *Policy {
	p := FindTemplate("builtin/service", "").policy(&TemplateVariables{s.ServiceName}, s.Datacenters)
	p.Description = fmt.Sprintf("synthetic policy for service identity %q", s.ServiceName)
	return p
}

// nodePolicy is what an identity of a node gives.
func nodePolicy(n NodeIdentity) *Policy {
	p := FindTemplate("builtin/node", "").policy(&TemplateVariables{n.NodeName}, []string{n.Datacenter})
	p.Description = fmt.Sprintf("synthetic policy for node identity %q", n.NodeName)
	return p
}
