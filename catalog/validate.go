package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lictor/rpc"
)

// Limits of metadata, as Consul documents them.
const (
	maxMetaPairs = 64
	maxMetaKey   = 128
	maxMetaValue = 512
	maxWeight    = 65535
)

func invalid(format string, args ...any) error { return rpc.Errorf(rpc.Invalid, format, args...) }

// Validate tells what makes the definition unfit to be registered, in Consul's words: the service itself, its checks
// and a sidecar defined with it.
func (d *ServiceDefinition) Validate() error {
	if d.Name == "" {
		return invalid("Missing service name")
	}
	if err := ValidateMeta(d.Meta); err != nil {
		return invalid("Invalid Service Meta: %v", err)
	}
	if d.Address == "0.0.0.0" || d.Address == "::" || d.Address == "[::]" {
		return invalid("Invalid service address")
	}
	if err := d.Weights.validate(); err != nil {
		return invalid("Invalid Weights: %v", err)
	}
	for _, c := range d.AllChecks() {
		if err := c.Validate(); err != nil {
			return invalid("Invalid check: %v", err)
		}
	}
	if err := d.validateKind(); err != nil {
		return invalid("Validation failed: %v", err)
	}
	if d.Connect != nil && d.Connect.SidecarService != nil {
		return d.validateSidecar(d.Connect.SidecarService)
	}
	return nil
}

// validateSidecar refuses what makes a sidecar's definition unfit by itself. What it leaves out is filled in later.
func (d *ServiceDefinition) validateSidecar(s *ServiceDefinition) error {
	if s.ID != "" {
		return invalid("Invalid SidecarService: sidecar service ID can not be specified")
	}
	if s.Connect != nil && s.Connect.SidecarService != nil {
		return invalid("Invalid SidecarService: sidecar service definitions can't be nested")
	}
	for _, c := range s.AllChecks() {
		if err := c.Validate(); err != nil {
			return invalid("Invalid check: %v", err)
		}
	}
	return nil
}

// AllChecks lists the checks of the definition, without those that say nothing at all.
func (d *ServiceDefinition) AllChecks() []*CheckDefinition {
	var all []*CheckDefinition
	for _, c := range append([]*CheckDefinition{d.Check}, d.Checks...) {
		if c != nil && !c.empty() {
			all = append(all, c)
		}
	}
	return all
}

func (w *Weights) validate() error {
	switch {
	case w == nil:
		return nil
	case w.Passing < 1:
		return fmt.Errorf("Passing must be greater than 0")
	case w.Warning < 0:
		return fmt.Errorf("Warning must be greater or equal than 0")
	case w.Passing > maxWeight || w.Warning > maxWeight:
		return fmt.Errorf("DNS Weight must be between 0 and 65535")
	}
	return nil
}

// ValidateMeta tells what is wrong with metadata of a service or a node, in Consul's words.
func ValidateMeta(meta map[string]string) error {
	if len(meta) > maxMetaPairs {
		return fmt.Errorf("Node metadata cannot contain more than %d key/value pairs", maxMetaPairs)
	}
	for _, k := range slices.Sorted(maps.Keys(meta)) {
		if err := validatePair(k, meta[k]); err != nil {
			return fmt.Errorf("Couldn't load metadata pair ('%s', '%s'): %w", k, meta[k], err)
		}
	}
	return nil
}

func validatePair(key, value string) error {
	switch {
	case key == "":
		return fmt.Errorf("Key cannot be blank")
	case strings.ContainsFunc(key, func(c rune) bool { return !metaRune(c) }):
		return fmt.Errorf("Key contains invalid characters")
	case len(key) > maxMetaKey:
		return fmt.Errorf("Key is too long (limit: %d characters)", maxMetaKey)
	case len(value) > maxMetaValue:
		return fmt.Errorf("Value is too long (limit: %d characters)", maxMetaValue)
	}
	return nil
}

func metaRune(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

func (d *ServiceDefinition) validateKind() error {
	if d.Connect != nil && d.Connect.SidecarService != nil && d.Kind != "" {
		return several{fmt.Sprintf("A %s cannot have a sidecar service defined", d.Kind)}
	}
	return d.Instance("").validate()
}

// validate tells what makes the instance unfit for its kind.
func (i *Instance) validate() error {
	if i.Kind != ConnectProxy {
		return nil
	}
	var wrong several
	if i.Port == 0 && i.SocketPath == "" {
		wrong = append(wrong, "Port or SocketPath must be set for a connect-proxy")
	}
	switch i.Proxy.DestinationServiceName {
	case "":
		wrong = append(wrong, "Proxy.DestinationServiceName must be non-empty for Connect proxy services")
	case "*":
		wrong = append(wrong, "Proxy.DestinationServiceName must not be a wildcard for Connect proxy services")
	}
	if i.Connect.Native {
		wrong = append(wrong, "A Proxy cannot also be Connect Native, only typical services")
	}
	wrong = append(wrong, validateUpstreams(i.Proxy.Upstreams)...)
	if len(wrong) == 0 {
		return nil
	}
	return wrong
}

func validateUpstreams(upstreams []Upstream) several {
	var wrong several
	seen := map[string]bool{}
	for _, u := range upstreams {
		if err := u.validate(); err != "" {
			wrong = append(wrong, err)
			continue
		}
		if at := u.listener(); seen[at] {
			wrong = append(wrong, fmt.Sprintf("upstreams cannot contain duplicates by local bind address and port or unix path; %q is specified twice", at))
		} else {
			seen[at] = true
		}
	}
	return wrong
}

func (u *Upstream) validate() string {
	switch {
	case u.DestinationType != "" && u.DestinationType != "service" && u.DestinationType != "prepared_query":
		return fmt.Sprintf("unknown upstream destination type: %q", u.DestinationType)
	case u.DestinationName == "":
		return "upstream destination name cannot be empty"
	case u.DestinationName == "*":
		return "upstream destination name cannot be a wildcard"
	case u.LocalBindPort == 0 && u.LocalBindSocketPath == "":
		return "upstream local bind port or local socket path must be defined and nonzero"
	}
	return ""
}

// listener is where the proxy listens for the upstream.
func (u *Upstream) listener() string {
	if u.LocalBindSocketPath != "" {
		return u.LocalBindSocketPath
	}
	address := u.LocalBindAddress
	if address == "" {
		address = "127.0.0.1"
	}
	return fmt.Sprintf("%s:%d", address, u.LocalBindPort)
}

// several are errors that are told together.
type several []string

func (s several) Error() string {
	head := fmt.Sprintf("%d errors occurred:", len(s))
	if len(s) == 1 {
		head = "1 error occurred:"
	}
	return head + "\n\t* " + strings.Join(s, "\n\t* ") + "\n\n"
}
