package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lictor/catalog"
)

// A refusal notes what is wrong with a key of a definition; the key "" means the definition itself.
type refusal func(key, format string, args ...any)

// checkDefinitions checks and completes all services and checks of files, and says whether there is a script check.
func checkDefinitions(r *report, services []*catalog.ServiceDefinition, checks []*catalog.CheckDefinition) (scripts bool) {
	seen := map[string]string{}
	for i, s := range services {
		key := fmt.Sprintf("services[%d]", i)
		checkService(s, below(r, key))
		if first, ok := seen[s.ID]; ok && s.ID != "" {
			r.refuse(key, "has the id %q, which %s has already: give each its own id", s.ID, first)
		}
		seen[s.ID] = key
		if s.Name != "" && (len(s.Name) > 63 || !onlyOf(s.Name, "-")) {
			r.warn("the service name %q cannot be looked up by DNS: only letters, digits and dashes can, 63 at most", s.Name)
		}
		for _, c := range serviceChecks(s) {
			scripts = scripts || isScript(c)
		}
	}
	seen = map[string]string{}
	for i, c := range checks {
		key := fmt.Sprintf("checks[%d]", i)
		checkNodeCheck(c, below(r, key))
		if first, ok := seen[c.ID]; ok && c.ID != "" {
			r.refuse(key, "has the id %q, which %s has already: give each its own id", c.ID, first)
		}
		seen[c.ID] = key
		scripts = scripts || isScript(c)
	}
	return scripts
}

// below refuses keys of one definition.
func below(r *report, at string) refusal {
	return func(key, format string, args ...any) {
		if key != "" {
			key = "." + key
		}
		r.refuse(at+key, format, args...)
	}
}

// serviceChecks are all checks of a service.
func serviceChecks(s *catalog.ServiceDefinition) []*catalog.CheckDefinition {
	all := slices.Clone(s.Checks)
	if s.Check != nil {
		all = append(all, s.Check)
	}
	return all
}

func isScript(c *catalog.CheckDefinition) bool { return len(c.ScriptArgs) > 0 }

// serviceKinds are the kinds of services; the empty one is an ordinary service.
const serviceKinds = "typical connect-proxy mesh-gateway terminating-gateway ingress-gateway api-gateway"

// checkService checks a service of a file and completes its id.
func checkService(s *catalog.ServiceDefinition, refuse refusal) {
	if s.Name == "" {
		refuse("", "a service needs a name")
	}
	checkServiceBody(s, refuse)
	if s.ID == "" {
		s.ID = s.Name
	}
}

// checkServiceBody checks what also holds of a sidecar, which gets its name from its service.
func checkServiceBody(s *catalog.ServiceDefinition, refuse refusal) {
	if s.Kind != "" && !slices.Contains(strings.Fields(serviceKinds), s.Kind) {
		refuse("kind", "is %q, but must be one of: %s", s.Kind, strings.Join(strings.Fields(serviceKinds), ", "))
	}
	if s.Port < 0 || s.Port > 65535 {
		refuse("port", "is %d, but must be from 0 to 65535", s.Port)
	}
	if s.SocketPath != "" && (s.Port != 0 || s.Address != "") {
		refuse("socket_path", "cannot be used together with address or port")
	}
	if w := s.Weights; w != nil && (w.Passing < 0 || w.Warning < 0 || w.Passing > 65535 || w.Warning > 65535) {
		refuse("weights", "must be from 0 to 65535")
	}
	if s.Kind == "connect-proxy" && (s.Proxy == nil || s.Proxy.DestinationServiceName == "") {
		refuse("proxy.destination_service_name", "must be set for a service of kind connect-proxy")
	}
	checkServiceMeta(s.Meta, refuse)
	if s.Check != nil {
		checkCheck(s.Check, inside(refuse, "check"))
	}
	for i, c := range s.Checks {
		checkCheck(c, inside(refuse, fmt.Sprintf("checks[%d]", i)))
	}
	checkConnect(s, refuse)
}

func inside(refuse refusal, at string) refusal {
	return func(key, format string, args ...any) {
		if key != "" {
			key = "." + key
		}
		refuse(at+key, format, args...)
	}
}

func checkServiceMeta(meta map[string]string, refuse refusal) {
	if len(meta) > maxMetaPairs {
		refuse("meta", "holds %d pairs, but at most %d are allowed", len(meta), maxMetaPairs)
	}
	for key, content := range meta {
		if !onlyOf(key, "_-") || len(key) > maxMetaKey {
			refuse("meta."+key, "the key must be of letters, digits, dashes and underscores, %d at most", maxMetaKey)
		}
		if len(content) > maxMetaValue {
			refuse("meta."+key, "the value is longer than %d characters", maxMetaValue)
		}
	}
}

func checkConnect(s *catalog.ServiceDefinition, refuse refusal) {
	if s.Connect == nil || s.Connect.SidecarService == nil {
		return
	}
	at := "connect.sidecar_service"
	sidecar := s.Connect.SidecarService
	switch {
	case s.Connect.Native:
		refuse(at, "cannot be used together with connect.native")
	case s.Kind != "" && s.Kind != "typical":
		refuse(at, "cannot be used in a service of kind %s", s.Kind)
	case sidecar.Connect != nil && sidecar.Connect.SidecarService != nil:
		refuse(at, "a sidecar cannot have a sidecar")
	default:
		checkServiceBody(sidecar, inside(refuse, at))
	}
}

// checkNodeCheck checks a check at the top level of a file and completes its id and name.
func checkNodeCheck(c *catalog.CheckDefinition, refuse refusal) {
	if c.ID == "" && c.Name == "" {
		refuse("", "a check needs a name")
	}
	if c.ID == "" {
		c.ID = c.Name
	}
	if c.Name == "" {
		c.Name = c.ID
	}
	checkCheck(c, refuse)
}

// checkCheck checks that a check is of exactly one kind, and has what the kind needs.
func checkCheck(c *catalog.CheckDefinition, refuse refusal) {
	kinds := checkKinds(c)
	switch {
	case len(kinds) == 0:
		refuse("", "a check needs one of: ttl, args, http, tcp, udp, grpc, h2ping, os_service, docker_container_id, alias_service, alias_node")
	case len(kinds) > 1:
		refuse("", "a check can be of one kind only, not of %s", strings.Join(kinds, " and "))
	default:
		checkTimes(c, kinds[0], refuse)
	}
	if c.DockerContainerID != "" && len(c.ScriptArgs) == 0 {
		refuse("args", "must be set with docker_container_id")
	}
	if !slices.Contains([]string{"", catalog.Passing, catalog.Warning, catalog.Critical, catalog.Maintenance}, c.Status) {
		refuse("status", "is %q, but must be one of: passing, warning, critical", c.Status)
	}
	for _, n := range []struct {
		key   string
		value int
	}{
		{"output_max_size", c.OutputMaxSize}, {"success_before_passing", c.SuccessBeforePassing},
		{"failures_before_warning", c.FailuresBeforeWarning}, {"failures_before_critical", c.FailuresBeforeCritical},
	} {
		if n.value < 0 {
			refuse(n.key, "is %d, but must be 0 or more", n.value)
		}
	}
	if c.FailuresBeforeCritical > 0 && c.FailuresBeforeWarning > c.FailuresBeforeCritical {
		refuse("failures_before_warning", "is %d, but must not be more than failures_before_critical, which is %d",
			c.FailuresBeforeWarning, c.FailuresBeforeCritical)
	}
}

// checkKinds names the keys by which a check says of what kind it is.
func checkKinds(c *catalog.CheckDefinition) []string {
	var kinds []string
	for _, k := range []struct {
		key string
		is  bool
	}{
		{"ttl", c.TTL != 0}, {"http", c.HTTP != ""}, {"tcp", c.TCP != ""}, {"udp", c.UDP != ""}, {"grpc", c.GRPC != ""},
		{"h2ping", c.H2PING != ""}, {"os_service", c.OSService != ""}, {"docker_container_id", c.DockerContainerID != ""},
		{"args", len(c.ScriptArgs) > 0 && c.DockerContainerID == ""}, {"alias", c.AliasNode != "" || c.AliasService != ""},
	} {
		if k.is {
			kinds = append(kinds, k.key)
		}
	}
	return kinds
}

func checkTimes(c *catalog.CheckDefinition, kind string, refuse refusal) {
	switch kind {
	case "ttl":
		if c.TTL < 0 {
			refuse("ttl", "is %s, but must be more than 0s", c.TTL)
		}
		if c.Interval != 0 {
			refuse("interval", "cannot be used together with ttl")
		}
	case "alias":
	default:
		if c.Interval <= 0 {
			refuse("interval", "must be set, to more than 0s, in a check by %s", kind)
		}
	}
	if c.Timeout < 0 {
		refuse("timeout", "is %s, but must not be negative", c.Timeout)
	}
	if d := time.Duration(c.DeregisterCriticalServiceAfter); d < 0 {
		refuse("deregister_critical_service_after", "is %s, but must not be negative", d)
	}
}
