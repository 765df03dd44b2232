package local

import (
	"fmt"
	"reflect"

	"lictor/catalog"
	"lictor/rpc"
)

// A loader enters what stands in files: the definitions of the configuration, and what the data directory holds. Who
// uses it holds registering.
type loader struct{ *State }

// Reload takes over new settings and the definitions of a new configuration: services and checks whose definition has
// left it go, those whose definition is the same are not touched, and checks keep their states. If a definition is
// wrong, nothing changes.
func (s *State) Reload(d Definitions, settings Settings) error {
	s.registering.Lock()
	defer s.registering.Unlock()
	l := loader{s}
	p, err := l.plan(d)
	if err != nil {
		return err
	}
	s.set(settings)
	if err := l.removeLeft(p); err != nil {
		return err
	}
	if err := l.enterServices(p); err != nil {
		return err
	}
	return l.enterChecks(p)
}

// Describe says what the catalog should have of this node from now on. Its name and id are as before.
func (s *State) Describe(node *catalog.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sameNode(s.table.node, node) {
		return
	}
	s.table.node, s.table.nodeSynced = node, false
	signal(s.syncer.wake)
}

// load takes over the first configuration and what the data directory holds.
func (l loader) load(d Definitions) error {
	p, err := l.plan(d)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return l.enterServices(p) },
		l.restoreServices,
		func() error { return l.enterChecks(p) }, // they may belong to services that were kept
		l.restoreChecks,
		l.restoreStates,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// A plan is what a configuration defines, completed and judged.
type plan struct {
	services []registration
	checks   []*catalog.CheckDefinition
	ids      map[key]bool // also of sidecars
}

func (l loader) plan(d Definitions) (*plan, error) {
	p := &plan{ids: map[key]bool{}}
	for _, def := range d.Services {
		if err := l.planService(p, def); err != nil {
			return nil, fmt.Errorf("service %q: %w", def.Identity(), err)
		}
	}
	for _, def := range d.Checks {
		if err := l.planCheck(p, def); err != nil {
			return nil, fmt.Errorf("check %q: %w", def.Identity(), err)
		}
	}
	return p, nil
}

func (l loader) planService(p *plan, def *catalog.ServiceDefinition) error {
	if err := def.Validate(); err != nil {
		return err
	}
	r := registration{def: normalService(def), token: l.Tokens().ConfigFile, source: File, replace: true}
	if err := p.claim(key{aService, r.def.ID}); err != nil {
		return err
	}
	if r.def.Connect != nil && r.def.Connect.SidecarService != nil {
		if err := p.claim(key{aService, sidecarID(r.def.ID)}); err != nil {
			return err
		}
	}
	for _, c := range r.def.Checks {
		if err := l.permit(c, File); err != nil {
			return err
		}
	}
	p.services = append(p.services, r)
	return nil
}

func (l loader) planCheck(p *plan, def *catalog.CheckDefinition) error {
	c := normalCheck(def)
	if c.Name == "" {
		return rpc.Errorf(rpc.Invalid, "Missing check name")
	}
	if err := c.Validate(); err != nil {
		return err
	}
	p.checks = append(p.checks, c)
	if err := p.claim(key{aCheck, c.ID}); err != nil {
		return err
	}
	return l.permit(c, File)
}

func (p *plan) claim(k key) error {
	if p.ids[k] {
		return fmt.Errorf("the id %q is defined twice", k.id)
	}
	p.ids[k] = true
	return nil
}

// removeLeft removes what an earlier configuration defined and this one does not.
func (l loader) removeLeft(p *plan) error {
	services, checks := l.defined()
	for _, id := range services {
		if !p.ids[key{aService, id}] {
			if err := l.remove(id); err != nil && rpc.CodeOf(err) != rpc.NotFound { // a sidecar may have gone before
				return err
			}
		}
	}
	for _, id := range checks {
		if !p.ids[key{aCheck, id}] && l.CheckRow(id) != nil {
			if err := l.removeCheck(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// defined lists the services that came from files, and the checks that did so alone.
func (l loader) defined() (services, checks []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, e := range l.table.services {
		if e.source == File && !e.gone {
			services = append(services, id)
		}
	}
	for id, c := range l.table.checks {
		if c.source == File && c.alone && !c.gone {
			checks = append(checks, id)
		}
	}
	return services, checks
}

func (l loader) enterServices(p *plan) error {
	for _, r := range p.services {
		all, err := l.expand(r)
		if err != nil {
			return fmt.Errorf("service %q: %w", r.def.ID, err)
		}
		for _, r := range all {
			if l.serviceStands(r.def) {
				continue
			}
			if err := l.enter(r); err != nil {
				return fmt.Errorf("service %q: %w", r.def.ID, err)
			}
		}
	}
	return nil
}

func (l loader) enterChecks(p *plan) error {
	for _, d := range p.checks {
		if l.checkStands(d) {
			continue
		}
		if err := l.enterCheck(d, firstOf(d.Token, l.Tokens().ConfigFile), File); err != nil {
			return fmt.Errorf("check %q: %w", d.ID, err)
		}
	}
	return nil
}

// serviceStands tells whether a service is registered from a file just so.
func (l loader) serviceStands(d *catalog.ServiceDefinition) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.table.service(d.ID)
	return e != nil && e.source == File && reflect.DeepEqual(e.def, d)
}

// checkStands tells whether a check is registered from a file just so.
func (l loader) checkStands(d *catalog.CheckDefinition) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.table.check(d.ID)
	return c != nil && c.source == File && reflect.DeepEqual(c.def, d)
}

// set takes over new settings.
func (s *State) set(settings Settings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settings = settings
	for _, c := range s.table.checks {
		if settings.DiscardCheckOutput && !c.gone && c.row.Output != "" {
			s.apply(c, c.row.Status, "")
		}
	}
}
