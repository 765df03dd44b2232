package configentry

import (
	"slices"
	"strings"

	"lictor/catalog"
)

// wildcard stands for all names.
const wildcard = "*"

// A Router is the content of service-router: where requests to a service go, by what they ask for.
type Router struct {
	Routes []Route           `json:",omitempty"`
	Meta   map[string]string `json:",omitempty"`
}

// A Splitter is the content of service-splitter: how requests to a service are shared out.
type Splitter struct {
	Splits []Split           `json:",omitempty"`
	Meta   map[string]string `json:",omitempty"`
}

// A Resolver is the content of service-resolver: which instances a service is.
type Resolver struct {
	DefaultSubset        string              `json:",omitempty"`
	Subsets              map[string]Subset   `json:",omitempty"`
	Redirect             *Redirect           `json:",omitempty"`
	Failover             map[string]Failover `json:",omitempty"`
	ConnectTimeout       catalog.Duration    `json:",omitzero"`
	RequestTimeout       catalog.Duration    `json:",omitzero"`
	PrioritizeByLocality *LocalityMode       `json:",omitempty"`
	LoadBalancer         *LoadBalancer       `json:",omitempty"`
	Meta                 map[string]string   `json:",omitempty"`
}

// The parts of these entries, by the names that clients know.
type (
	// Route is where requests go that match.
	Route struct {
		Match       *RouteMatch       `json:",omitempty"`
		Destination *RouteDestination `json:",omitempty"`
	}
	// RouteMatch is what they have to be like.
	RouteMatch struct {
		HTTP *HTTPMatch `json:",omitempty"`
	}
	// HTTPMatch is what a request has to be like.
	HTTPMatch struct {
		PathExact       string        `json:",omitempty"`
		PathPrefix      string        `json:",omitempty"`
		PathRegex       string        `json:",omitempty"`
		CaseInsensitive bool          `json:",omitempty"`
		Header          []HeaderMatch `json:",omitempty"`
		QueryParam      []ParamMatch  `json:",omitempty"`
		Methods         []string      `json:",omitempty"`
	}
	// HeaderMatch is what a header of it has to be like.
	HeaderMatch struct {
		Name    string
		Present bool   `json:",omitempty"`
		Exact   string `json:",omitempty"`
		Prefix  string `json:",omitempty"`
		Suffix  string `json:",omitempty"`
		Regex   string `json:",omitempty"`
		Invert  bool   `json:",omitempty"`
	}
	// ParamMatch is what a parameter in its query has to be like.
	ParamMatch struct {
		Name    string
		Present bool   `json:",omitempty"`
		Exact   string `json:",omitempty"`
		Regex   string `json:",omitempty"`
	}
	// RouteDestination is where it goes, and how.
	RouteDestination struct {
		Service               string           `json:",omitempty"`
		ServiceSubset         string           `json:",omitempty"`
		PrefixRewrite         string           `json:",omitempty"`
		RequestTimeout        catalog.Duration `json:",omitzero"`
		IdleTimeout           catalog.Duration `json:",omitzero"`
		NumRetries            uint32           `json:",omitempty"`
		RetryOnConnectFailure bool             `json:",omitempty"`
		RetryOnStatusCodes    []uint32         `json:",omitempty"`
		RetryOn               []string         `json:",omitempty"`
		RequestHeaders        *HeaderChanges   `json:",omitempty"`
		ResponseHeaders       *HeaderChanges   `json:",omitempty"`
	}
	// HeaderChanges change headers under way.
	HeaderChanges struct {
		Add    map[string]string `json:",omitempty"`
		Set    map[string]string `json:",omitempty"`
		Remove []string          `json:",omitempty"`
	}
	// Split is where a share of requests goes.
	Split struct {
		Weight          float32
		Service         string         `json:",omitempty"`
		ServiceSubset   string         `json:",omitempty"`
		RequestHeaders  *HeaderChanges `json:",omitempty"`
		ResponseHeaders *HeaderChanges `json:",omitempty"`
	}
	// Subset is a part of a service's instances.
	Subset struct {
		Filter      string `json:",omitempty"`
		OnlyPassing bool   `json:",omitempty"`
	}
	// Redirect is another service in the place of this one.
	Redirect struct {
		Service       string `json:",omitempty"`
		ServiceSubset string `json:",omitempty"`
		Datacenter    string `json:",omitempty"`
		Peer          string `json:",omitempty"`
		SamenessGroup string `json:",omitempty"`
	}
	// Failover is where requests go while there is no healthy instance.
	Failover struct {
		Service       string           `json:",omitempty"`
		ServiceSubset string           `json:",omitempty"`
		Datacenters   []string         `json:",omitempty"`
		Targets       []FailoverTarget `json:",omitempty"`
		Policy        *FailoverPolicy  `json:",omitempty"`
		SamenessGroup string           `json:",omitempty"`
	}
	// FailoverTarget is one of several places.
	FailoverTarget struct {
		Service       string `json:",omitempty"`
		ServiceSubset string `json:",omitempty"`
		Datacenter    string `json:",omitempty"`
		Peer          string `json:",omitempty"`
	}
	// FailoverPolicy says in what order places are tried.
	FailoverPolicy struct {
		Mode    string   `json:",omitempty"`
		Regions []string `json:",omitempty"`
	}
	// LocalityMode says whether near instances come first.
	LocalityMode struct {
		Mode string `json:",omitempty"`
	}
	// LoadBalancer says how instances are chosen.
	LoadBalancer struct {
		Policy             string        `json:",omitempty"`
		RingHashConfig     *RingHash     `json:",omitempty"`
		LeastRequestConfig *LeastRequest `json:",omitempty"`
		HashPolicies       []HashPolicy  `json:",omitempty"`
	}
	// RingHash tunes the policy ring_hash.
	RingHash struct {
		MinimumRingSize uint64 `json:",omitempty"`
		MaximumRingSize uint64 `json:",omitempty"`
	}
	// LeastRequest tunes the policy least_request.
	LeastRequest struct {
		ChoiceCount uint32 `json:",omitempty"`
	}
	// HashPolicy is what of a request is hashed.
	HashPolicy struct {
		Field        string        `json:",omitempty"`
		FieldValue   string        `json:",omitempty"`
		CookieConfig *CookieConfig `json:",omitempty"`
		SourceIP     bool          `json:",omitempty"`
		Terminal     bool          `json:",omitempty"`
	}
	// CookieConfig makes a cookie where there is none.
	CookieConfig struct {
		Session bool        `json:",omitempty"`
		TTL     Nanoseconds `json:",omitempty"`
		Path    string      `json:",omitempty"`
	}
)

func (r *Router) mentions() []string {
	var names []string
	for _, route := range r.Routes {
		if route.Destination != nil {
			names = append(names, route.Destination.Service)
		}
	}
	return names
}

func (r *Router) settle(name string) error {
	if name == "" {
		return errNoName
	}
	for i, route := range r.Routes {
		path := false
		if route.Match != nil && route.Match.HTTP != nil {
			m := route.Match.HTTP
			path = m.PathExact != "" || m.PathPrefix != ""
			for j := range m.Methods {
				m.Methods[j] = strings.ToUpper(m.Methods[j])
			}
			if err := m.validate(i); err != nil {
				return err
			}
		}
		if d := route.Destination; d != nil {
			switch {
			case d.PrefixRewrite != "" && !path:
				return refuse("Route[%d] cannot make use of PrefixRewrite without configuring either PathExact or PathPrefix", i)
			case d.RequestTimeout < 0 || d.IdleTimeout < 0:
				return refuse("Route[%d] has a timeout that is negative", i)
			}
			for _, header := range []*HeaderChanges{d.RequestHeaders, d.ResponseHeaders} {
				if err := header.validate(); err != nil {
					return refuse("Route[%d] %v", i, err)
				}
			}
		}
	}
	return nil
}

func (h *HeaderChanges) validate() error {
	if h == nil {
		return nil
	}
	for _, names := range []map[string]string{h.Add, h.Set} {
		if _, empty := names[""]; empty {
			return refuse("has a header without a name")
		}
	}
	if slices.Contains(h.Remove, "") {
		return refuse("has a header without a name")
	}
	return nil
}

// count is how many of the texts are set.
func count(texts ...string) int {
	n := 0
	for _, t := range texts {
		if t != "" {
			n++
		}
	}
	return n
}

// word is a text for count.
func word(set bool) string {
	if set {
		return "x"
	}
	return ""
}

func (m *HTTPMatch) validate(i int) error {
	switch {
	case count(m.PathExact, m.PathPrefix, m.PathRegex) > 1:
		return refuse("Route[%d] should only contain at most one of PathExact, PathPrefix, or PathRegex", i)
	case m.PathExact != "" && m.PathExact[0] != '/':
		return refuse("Route[%d] PathExact doesn't start with '/': %q", i, m.PathExact)
	case m.PathPrefix != "" && m.PathPrefix[0] != '/':
		return refuse("Route[%d] PathPrefix doesn't start with '/': %q", i, m.PathPrefix)
	}
	for j, h := range m.Header {
		if h.Name == "" {
			return refuse("Route[%d] Header[%d] missing required Name field", i, j)
		}
		switch n := count(word(h.Present), h.Exact, h.Prefix, h.Suffix, h.Regex); {
		case n == 0:
			return refuse("Route[%d] Header[%d] should contain one of Present, Exact, Prefix, Suffix, or Regex", i, j)
		case n > 1:
			return refuse("Route[%d] Header[%d] should only contain one of Present, Exact, Prefix, Suffix, or Regex", i, j)
		}
	}
	for j, q := range m.QueryParam {
		if q.Name == "" {
			return refuse("Route[%d] QueryParam[%d] missing required Name field", i, j)
		}
		if count(word(q.Present), q.Exact, q.Regex) != 1 {
			return refuse("Route[%d] QueryParam[%d] should only contain one of Present, Exact, or Regex", i, j)
		}
	}
	seen := map[string]bool{}
	for _, method := range m.Methods {
		if method == "" || seen[method] {
			return refuse("Route[%d] Methods contains %q more than once", i, method)
		}
		seen[method] = true
	}
	return nil
}

func (s *Splitter) mentions() []string {
	var names []string
	for _, split := range s.Splits {
		names = append(names, split.Service)
	}
	return names
}

func (s *Splitter) settle(name string) error {
	if name == "" {
		return errNoName
	}
	if len(s.Splits) == 0 {
		return refuse("no splits configured")
	}
	seen := map[string]bool{}
	sum := 0 // in hundredths, which is how fine Consul counts
	for _, split := range s.Splits {
		if !(split.Weight >= 0 && split.Weight <= 100) {
			return refuse("split weight %f is not between 0 and 100", split.Weight)
		}
		at := split.Service + "\x00" + split.ServiceSubset
		if seen[at] {
			return refuse("split destination occurs more than once: service=%q, subset=%q", split.Service, split.ServiceSubset)
		}
		seen[at] = true
		sum += int(split.Weight*100 + 0.5)
	}
	if sum != 100*100 {
		return refuse("the sum of all split weights must be 100, not %f", float32(sum)/100)
	}
	return nil
}

func (r *Resolver) mentions() []string {
	var names []string
	if r.Redirect != nil {
		names = append(names, r.Redirect.Service)
	}
	for _, f := range r.Failover {
		names = append(names, f.Service)
		for _, t := range f.Targets {
			names = append(names, t.Service)
		}
	}
	slices.Sort(names)
	return names
}

func (r *Resolver) settle(name string) error {
	if name == "" {
		return errNoName
	}
	if name == wildcard && (r.DefaultSubset != "" || len(r.Subsets) > 0 || r.Redirect != nil || len(r.Failover) > 0) {
		return refuse("a resolver for all services can only set PrioritizeByLocality and timeouts")
	}
	for _, subset := range sortedKeys(r.Subsets) {
		if subset == "" {
			return refuse("Subset defined with empty name")
		}
		if err := catalog.CheckEntryFilter(r.Subsets[subset].Filter); err != nil {
			return refuse("Filter for subset %q is not a valid expression: %v", subset, err)
		}
	}
	if !r.isSubset(r.DefaultSubset) {
		return refuse("DefaultSubset %q is not a valid subset", r.DefaultSubset)
	}
	if err := r.validateRedirect(); err != nil {
		return err
	}
	for _, subset := range sortedKeys(r.Failover) {
		if err := r.validateFailover(name, subset); err != nil {
			return err
		}
	}
	switch {
	case r.ConnectTimeout < 0:
		return refuse("Bad ConnectTimeout '%s', must be >= 0", r.ConnectTimeout)
	case r.RequestTimeout < 0:
		return refuse("Bad RequestTimeout '%s', must be >= 0", r.RequestTimeout)
	}
	if p := r.PrioritizeByLocality; p != nil && !slices.Contains([]string{"", "none", "failover"}, p.Mode) {
		return refuse("Bad PrioritizeByLocality: %q is not a mode", p.Mode)
	}
	return r.LoadBalancer.validate()
}

func (r *Resolver) isSubset(name string) bool {
	_, ok := r.Subsets[name]
	return name == "" || ok
}

func (r *Resolver) validateRedirect() error {
	d := r.Redirect
	switch {
	case d == nil:
	case len(r.Failover) > 0:
		return refuse("Redirect and Failover cannot both be set")
	case *d == Redirect{}:
		return refuse("Redirect is empty")
	case d.SamenessGroup != "":
		return refuse("Redirect.SamenessGroup: sameness-groups are an enterprise-only feature")
	case d.Service == "" && d.ServiceSubset != "":
		return refuse("Redirect.ServiceSubset defined without Redirect.Service")
	case d.Peer != "" && d.Datacenter != "":
		return refuse("Redirect.Peer cannot be set with Redirect.Datacenter")
	case d.Peer != "" && d.ServiceSubset != "":
		return refuse("Redirect.Peer cannot be set with Redirect.ServiceSubset")
	}
	return nil
}

func (r *Resolver) validateFailover(name, subset string) error {
	bad := func(format string, args ...any) error {
		return refuse("Bad Failover[%q]: "+format, append([]any{subset}, args...)...)
	}
	f := r.Failover[subset]
	switch {
	case subset != wildcard && (subset == "" || !r.isSubset(subset)):
		return bad("not a valid subset")
	case f.SamenessGroup != "":
		return bad("sameness-groups are an enterprise-only feature")
	case f.Service == "" && f.ServiceSubset == "" && len(f.Datacenters) == 0 && len(f.Targets) == 0:
		return bad("one of Service, ServiceSubset, Namespace, Targets, SamenessGroup, or Datacenters is required")
	case len(f.Targets) > 0 && (f.Service != "" || f.ServiceSubset != "" || len(f.Datacenters) > 0):
		return bad("Targets cannot be set with Service, ServiceSubset or Datacenters")
	case (f.Service == "" || strings.EqualFold(f.Service, name)) && !r.isSubset(f.ServiceSubset):
		return bad("ServiceSubset %q is not a valid subset of %q", f.ServiceSubset, name)
	case slices.Contains(f.Datacenters, ""):
		return bad("found empty datacenter")
	}
	for i, t := range f.Targets {
		if t.Peer != "" && (t.Datacenter != "" || t.ServiceSubset != "") {
			return bad("Targets[%d].Peer cannot be set with Datacenter or ServiceSubset", i)
		}
	}
	if err := f.Policy.validate(); err != nil {
		return bad("%v", err)
	}
	return nil
}

func (p *FailoverPolicy) validate() error {
	if p != nil && !slices.Contains([]string{"", "sequential", "order-by-locality"}, p.Mode) {
		return refuse("Failover policy mode %q is not supported: allowed are sequential and order-by-locality", p.Mode)
	}
	return nil
}

func (l *LoadBalancer) validate() error {
	if l == nil {
		return nil
	}
	if !slices.Contains([]string{"", "random", "round_robin", "least_request", "ring_hash", "maglev"}, l.Policy) {
		return refuse("Bad LoadBalancer policy: %q is not supported", l.Policy)
	}
	hashes := l.Policy == "ring_hash" || l.Policy == "maglev"
	switch {
	case l.RingHashConfig != nil && l.Policy != "ring_hash":
		return refuse("Bad LoadBalancer configuration. RingHashConfig specified for incompatible load balancing policy %q", l.Policy)
	case l.LeastRequestConfig != nil && l.Policy != "least_request":
		return refuse("Bad LoadBalancer configuration. LeastRequestConfig specified for incompatible load balancing policy %q", l.Policy)
	case len(l.HashPolicies) > 0 && !hashes:
		return refuse("Bad LoadBalancer configuration: HashPolicies specified for non-hash-based Policy: %q", l.Policy)
	}
	for i, h := range l.HashPolicies {
		switch {
		case !slices.Contains([]string{"", "header", "cookie", "query_parameter"}, h.Field):
			return refuse("Bad LoadBalancer HashPolicy[%d]: %q is not a supported field", i, h.Field)
		case h.SourceIP && h.Field != "":
			return refuse("Bad LoadBalancer HashPolicy[%d]: A single hash policy cannot hash both a source address and a %q", i, h.Field)
		case !h.SourceIP && h.Field == "":
			return refuse("Bad LoadBalancer HashPolicy[%d]: Field or SourceIP is required", i)
		case h.Field != "" && h.FieldValue == "":
			return refuse("Bad LoadBalancer HashPolicy[%d]: FieldValue is required with Field %q", i, h.Field)
		case h.CookieConfig != nil && h.Field != "cookie":
			return refuse("Bad LoadBalancer HashPolicy[%d]: CookieConfig is for the field cookie", i)
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
