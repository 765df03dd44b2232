package configentry

import (
	"slices"
	"strings"

	"lictor/state"
)

// A sight is the entries as they would be after a change.
type sight struct {
	tx   *state.Tx
	put  *Entry // written over what is there; nil if nothing is
	gone *Entry // nil if nothing is
}

func (s *sight) find(kind, name string) *Entry {
	k := key(kind, name)
	switch {
	case s.put != nil && k == key(s.put.Kind, s.put.Name):
		return s.put
	case s.gone != nil && k == key(s.gone.Kind, s.gone.Name):
		return nil
	}
	return Entries.Get(s.tx, k)
}

// content reads the content of an entry; nil if there is none.
func content[T any](s *sight, kind, name string) *T {
	e := s.find(kind, name)
	if e == nil {
		return nil
	}
	c, err := e.Content()
	if err != nil { // what is stored can be read
		return nil
	}
	t, _ := c.(any).(*T)
	return t
}

// protocol is what a service speaks: what is said of it, else of all, else tcp.
func (s *sight) protocol(service string) string {
	if d := content[ServiceSettings](s, ServiceDefaults, service); d != nil && d.Protocol != "" {
		return d.Protocol
	}
	if d := content[ProxySettings](s, ProxyDefaults, globalName); d != nil && d.protocol() != "" {
		return d.protocol()
	}
	return "tcp"
}

// Protocol is what a service speaks in the mesh.
func Protocol(tx *state.Tx, service string) string { return (&sight{tx: tx}).protocol(service) }

// layered tells whether requests of a protocol can be told apart.
func layered(protocol string) bool { return protocol != "tcp" }

// agree tells whether the entries that have to do with a changed one still fit together.
func (s *sight) agree(changed *Entry) error {
	switch changed.Kind {
	case ProxyDefaults, ServiceDefaults, ServiceRouter, ServiceSplitter, ServiceResolver:
	case IngressGateway:
		return s.ingress(s.find(IngressGateway, changed.Name))
	case ExportedServices:
		return s.exports()
	case ServiceIntentions:
		return s.intentions(changed.Name)
	default:
		return nil
	}
	services, gateways := s.concerned(changed)
	for _, name := range services {
		if err := s.chain(name); err != nil {
			return err
		}
		if err := s.intentions(name); err != nil {
			return err
		}
	}
	for _, g := range gateways {
		if err := s.ingress(g); err != nil {
			return err
		}
	}
	return s.exports()
}

// maxConcerned bounds how many services are looked at for one change.
const maxConcerned = 10_000

// concerned lists the services whose way leads through what a changed entry is about, itself first, and the gateways that
// stand before them.
func (s *sight) concerned(changed *Entry) (services []string, gateways []*Entry) {
	if changed.Kind == ProxyDefaults {
		for _, kind := range []string{ServiceRouter, ServiceSplitter, ServiceResolver, ServiceIntentions} {
			for e := range Entries.Prefix(s.tx, "id", state.Key(kind)) {
				services = append(services, e.Name)
			}
		}
		for e := range Entries.Prefix(s.tx, "id", state.Key(IngressGateway)) {
			gateways = append(gateways, e)
		}
		return lowered(services), gateways
	}
	services = []string{strings.ToLower(changed.Name)}
	seen := map[string]bool{services[0]: true}
	for at := 0; at < len(services) && len(services) < maxConcerned; at++ {
		for e := range Entries.Each(s.tx, "mentions", state.Key(services[at])) {
			name := strings.ToLower(e.Name)
			switch e.Kind {
			case IngressGateway:
				gateways = append(gateways, e)
			case ServiceRouter, ServiceSplitter, ServiceResolver:
				if !seen[name] {
					seen[name] = true
					services = append(services, name)
				}
			}
		}
	}
	return services, gateways
}

// A walk follows a service's way through routers, splitters and resolvers.
type walk struct {
	*sight
	service  string // where it began
	protocol string
	seen     map[string]bool // services
}

// chain tells what keeps the way of a service from being one.
func (s *sight) chain(service string) error {
	w := &walk{sight: s, service: service, protocol: s.protocol(service), seen: map[string]bool{}}
	if e := s.named(service); e != nil {
		w.service = e.Name
	}
	routed := s.find(ServiceRouter, service) != nil || s.find(ServiceSplitter, service) != nil
	if routed && !layered(w.protocol) {
		return refuse("discovery chain %q uses a protocol %q that does not permit advanced routing or splitting behavior", w.service, w.protocol)
	}
	if r := content[Router](s, ServiceRouter, service); r != nil {
		for _, route := range r.Routes {
			to, subset := service, ""
			if d := route.Destination; d != nil {
				to, subset = or(d.Service, service), d.ServiceSubset
			}
			if err := w.split(to, subset); err != nil {
				return err
			}
		}
	}
	return w.split(service, "")
}

// named finds an entry that tells how a service's name is written.
func (s *sight) named(service string) *Entry {
	for _, kind := range []string{ServiceRouter, ServiceSplitter, ServiceResolver, ServiceDefaults} {
		if e := s.find(kind, service); e != nil {
			return e
		}
	}
	return nil
}

func or(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}

// split goes on at a service's splitter, unless a subset is asked for.
func (w *walk) split(service, subset string) error {
	var splits []Split
	if s := content[Splitter](w.sight, ServiceSplitter, service); s != nil && subset == "" && !w.seen["/"+service] {
		w.seen["/"+service] = true
		splits = s.Splits
	}
	if splits == nil {
		return w.resolve(service, subset, nil)
	}
	for _, p := range splits {
		to := or(p.Service, service)
		next := w.split
		if strings.EqualFold(to, service) {
			next = func(service, subset string) error { return w.resolve(service, subset, nil) }
		}
		if err := next(to, p.ServiceSubset); err != nil {
			return err
		}
	}
	return nil
}

// resolve goes on at a service's resolver; path is the redirects that have led there.
func (w *walk) resolve(service, subset string, path []string) error {
	here := strings.ToLower(service)
	if slices.Contains(path, here) {
		return refuse("detected circular resolver redirect: [%s]", strings.Join(append(path, here), " -> "))
	}
	if err := w.speaks(service); err != nil {
		return err
	}
	r := content[Resolver](w.sight, ServiceResolver, service)
	if r == nil {
		r = &Resolver{}
	}
	if !r.isSubset(subset) {
		return refuse("service %q does not have a subset named %q", service, subset)
	}
	if d := r.Redirect; d != nil {
		if d.Datacenter != "" || d.Peer != "" {
			return nil
		}
		return w.resolve(or(d.Service, service), d.ServiceSubset, append(path, here))
	}
	for _, name := range sortedKeys(r.Failover) {
		f := r.Failover[name]
		if f.Service == "" || len(f.Datacenters) > 0 {
			continue
		}
		if err := w.target(f.Service, f.ServiceSubset); err != nil {
			return err
		}
	}
	return nil
}

// target looks at a service to which a way fails over.
func (w *walk) target(service, subset string) error {
	if err := w.speaks(service); err != nil {
		return err
	}
	r := content[Resolver](w.sight, ServiceResolver, service)
	if subset != "" && (r == nil || !r.isSubset(subset)) {
		return refuse("service %q does not have a subset named %q", service, subset)
	}
	return nil
}

func (w *walk) speaks(service string) error {
	if p := w.sight.protocol(service); p != w.protocol {
		return refuse("discovery chain %q uses inconsistent protocols; service %q has %q which is not %q", w.service, service, p, w.protocol)
	}
	return nil
}

// ingress tells whether the services behind a gateway speak what its listeners do.
func (s *sight) ingress(e *Entry) error {
	if e == nil {
		return nil
	}
	g := content[Ingress](s, IngressGateway, e.Name)
	if g == nil {
		return nil
	}
	for _, l := range g.Listeners {
		for _, service := range l.Services {
			if service.Name == wildcard {
				continue
			}
			if p := s.protocol(service.Name); l.Protocol != "tcp" && p != l.Protocol {
				return refuse("service %q has protocol %q, which is incompatible with defined listener protocol %q", service.Name, p, l.Protocol)
			}
		}
	}
	return nil
}

// intentions tells whether those of a service that are about requests are of a service of which requests can be told apart.
func (s *sight) intentions(service string) error {
	t := content[Intentions](s, ServiceIntentions, service)
	if t == nil {
		return nil
	}
	for _, source := range t.Sources {
		if p := s.protocol(service); len(source.Permissions) > 0 && !layered(p) {
			return refuse("service %q has protocol %q, which is incompatible with L7 intentions permissions", service, p)
		}
	}
	return nil
}

// exports tells whether a service that other clusters may call needs other datacenters.
func (s *sight) exports() error {
	x := content[Exports](s, ExportedServices, defaultName)
	if x == nil {
		return nil
	}
	for _, service := range x.Services {
		r := content[Resolver](s, ServiceResolver, service.Name)
		if r == nil {
			continue
		}
		if r.Redirect != nil && r.Redirect.Datacenter != "" {
			return refuse("peer exported service %q contains cross-datacenter resolver redirect", service.Name)
		}
		for _, f := range r.Failover {
			across := len(f.Datacenters) > 0
			for _, t := range f.Targets {
				across = across || t.Datacenter != ""
			}
			if across {
				return refuse("peer exported service %q contains cross-datacenter failover", service.Name)
			}
		}
	}
	return nil
}
