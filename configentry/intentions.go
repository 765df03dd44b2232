package configentry

import (
	"slices"
	"strings"
	"time"
)

// Intentions are the content of service-intentions: who may call a service.
type Intentions struct {
	Sources []*Source
	JWT     *JWTRequirement   `json:",omitempty"`
	Meta    map[string]string `json:",omitempty"`
}

// What an intention does with a call.
const (
	Allow = "allow"
	Deny  = "deny"
)

// The parts of the entry, by the names that clients know.
type (
	// Source is who calls, and whether it may. Sources are in the order in which they are looked at.
	Source struct {
		Name             string
		Peer             string              `json:",omitempty"`
		SamenessGroup    string              `json:",omitempty"`
		Action           string              `json:",omitempty"`
		Permissions      []*PermissionToCall `json:",omitempty"`
		Precedence       int
		Type             string
		Description      string            `json:",omitempty"`
		LegacyID         string            `json:",omitempty"`
		LegacyMeta       map[string]string `json:",omitempty"`
		LegacyCreateTime *time.Time        `json:",omitempty"`
		LegacyUpdateTime *time.Time        `json:",omitempty"`
	}
	// PermissionToCall decides about requests that match.
	PermissionToCall struct {
		Action string
		HTTP   *HTTPPermission `json:",omitempty"`
		JWT    *JWTRequirement `json:",omitempty"`
	}
	// HTTPPermission is what a request has to be like.
	HTTPPermission struct {
		PathExact  string             `json:",omitempty"`
		PathPrefix string             `json:",omitempty"`
		PathRegex  string             `json:",omitempty"`
		Header     []HeaderPermission `json:",omitempty"`
		Methods    []string           `json:",omitempty"`
	}
	// HeaderPermission is what a header of it has to be like.
	HeaderPermission struct {
		Name       string
		Present    bool   `json:",omitempty"`
		Exact      string `json:",omitempty"`
		Prefix     string `json:",omitempty"`
		Suffix     string `json:",omitempty"`
		Contains   string `json:",omitempty"`
		Regex      string `json:",omitempty"`
		Invert     bool   `json:",omitempty"`
		IgnoreCase bool   `json:",omitempty"`
	}
	// JWTRequirement lists who may have issued the token that a request needs.
	JWTRequirement struct {
		Providers []*JWTNeed `json:",omitempty"`
	}
	// JWTNeed is one issuer, and what the token must say.
	JWTNeed struct {
		Name         string   `json:",omitempty"`
		VerifyClaims []*Claim `json:",omitempty"`
	}
	// Claim is something that the token must say.
	Claim struct {
		Path  []string `json:",omitempty"`
		Value string   `json:",omitempty"`
	}
)

// Precedence is how early a source is looked at: the higher the earlier. Names count for more than the wildcard, and the
// destination for more than the source.
func Precedence(source, destination string) int {
	switch {
	case source != wildcard && destination != wildcard:
		return 9
	case destination != wildcard:
		return 8
	case source != wildcard:
		return 6
	}
	return 5
}

func partialWildcard(name string) bool { return name != wildcard && strings.Contains(name, wildcard) }

func (t *Intentions) settle(name string) error {
	switch {
	case name == "":
		return errNoName
	case partialWildcard(name):
		return refuse("Name: wildcard character '*' cannot be used with partial values")
	case len(t.Sources) == 0:
		return refuse("At least one source is required")
	}
	if err := t.JWT.validate(); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, s := range t.Sources {
		if s == nil {
			return refuse("Sources[%d].Name is required", i)
		}
		if err := s.settle(i, name); err != nil {
			return err
		}
		at := s.Name + "\x00" + s.Peer
		if seen[at] {
			return refuse("Sources[%d] defines %q more than once", i, s.Name)
		}
		seen[at] = true
	}
	slices.SortStableFunc(t.Sources, func(a, b *Source) int { return b.Precedence - a.Precedence })
	return nil
}

func (s *Source) settle(i int, destination string) error {
	if s.Type == "" {
		s.Type = "consul"
	}
	s.Precedence = Precedence(s.Name, destination)
	action := func(a string) bool { return a == Allow || a == Deny }
	switch {
	case s.Name == "":
		return refuse("Sources[%d].Name is required", i)
	case partialWildcard(s.Name):
		return refuse("Sources[%d].Name: wildcard character '*' cannot be used with partial values", i)
	case s.SamenessGroup != "":
		return refuse("Sources[%d].SamenessGroup: sameness-groups are an enterprise-only feature", i)
	case s.Peer == wildcard:
		return refuse("Sources[%d].Peer: cannot use wildcard '*' in peer", i)
	case s.Type != "consul":
		return refuse("Sources[%d].Type must be set to 'consul'", i)
	case len(s.Description) > 512:
		return refuse("Sources[%d].Description exceeds maximum length 512", i)
	case len(s.Permissions) == 0 && !action(s.Action):
		return refuse("Sources[%d].Action must be set to 'allow' or 'deny'", i)
	case len(s.Permissions) > 0 && s.Action != "":
		return refuse("Sources[%d].Action must be omitted if Permissions are specified", i)
	case len(s.Permissions) > 0 && destination == wildcard:
		return refuse("Sources[%d].Permissions cannot be specified on intentions with wildcarded destinations", i)
	}
	for j, p := range s.Permissions {
		if p == nil || !action(p.Action) {
			return refuse("Sources[%d].Permissions[%d].Action must be set to 'allow' or 'deny'", i, j)
		}
		if p.HTTP == nil && p.JWT == nil {
			return refuse("Sources[%d].Permissions[%d] should specify at least one of HTTP or JWT", i, j)
		}
		if err := p.HTTP.settle(i, j); err != nil {
			return err
		}
		if err := p.JWT.validate(); err != nil {
			return refuse("Sources[%d].Permissions[%d].%v", i, j, err)
		}
	}
	return nil
}

func (h *HTTPPermission) settle(i, j int) error {
	if h == nil {
		return nil
	}
	switch {
	case count(h.PathExact, h.PathPrefix, h.PathRegex) > 1:
		return refuse("Sources[%d].Permissions[%d].HTTP should only contain at most one of PathExact, PathPrefix, or PathRegex", i, j)
	case h.PathExact != "" && h.PathExact[0] != '/':
		return refuse("Sources[%d].Permissions[%d].HTTP.PathExact doesn't start with '/': %q", i, j, h.PathExact)
	case h.PathPrefix != "" && h.PathPrefix[0] != '/':
		return refuse("Sources[%d].Permissions[%d].HTTP.PathPrefix doesn't start with '/': %q", i, j, h.PathPrefix)
	case count(h.PathExact, h.PathPrefix, h.PathRegex) == 0 && len(h.Header) == 0 && len(h.Methods) == 0:
		return refuse("Sources[%d].Permissions[%d].HTTP should not be empty", i, j)
	}
	for k, header := range h.Header {
		if header.Name == "" {
			return refuse("Sources[%d].Permissions[%d].HTTP.Header[%d] missing required Name field", i, j, k)
		}
		if count(word(header.Present), header.Exact, header.Prefix, header.Suffix, header.Contains, header.Regex) != 1 {
			return refuse("Sources[%d].Permissions[%d].HTTP.Header[%d] should only contain one of Present, Exact, Prefix, Suffix, Contains, or Regex", i, j, k)
		}
	}
	seen := map[string]bool{}
	for k, m := range h.Methods {
		h.Methods[k] = strings.ToUpper(m)
		if seen[h.Methods[k]] || m == "" {
			return refuse("Sources[%d].Permissions[%d].HTTP.Methods contains %q more than once", i, j, h.Methods[k])
		}
		seen[h.Methods[k]] = true
	}
	return nil
}

func (r *JWTRequirement) validate() error {
	if r == nil {
		return nil
	}
	for i, p := range r.Providers {
		if p == nil || p.Name == "" {
			return refuse("JWT.Providers[%d]: JWT provider name is required", i)
		}
		for j, c := range p.VerifyClaims {
			if c == nil || len(c.Path) == 0 {
				return refuse("JWT.Providers[%d].VerifyClaims[%d].Path is required", i, j)
			}
		}
	}
	return nil
}
