package local

import (
	"net"
	"strconv"

	"lictor/catalog"
	"lictor/rpc"
)

// sidecar is the registration of the proxy that is defined together with a service; nil if there is none.
func (s *State) sidecar(r registration) (*registration, error) {
	if r.def.Connect == nil || r.def.Connect.SidecarService == nil {
		return nil, nil
	}
	d := sidecarDefinition(r.def)
	if d.Port == 0 {
		port, err := s.sidecarPort(d.ID)
		if err != nil {
			return nil, err
		}
		d.Port = port
	}
	if len(d.AllChecks()) == 0 {
		d.Checks = sidecarChecks(d, r.def.ID)
	}
	if err := d.Validate(); err != nil {
		return nil, err
	}
	return &registration{def: normalService(d), token: r.token, source: r.source, parent: r.def.ID, replace: r.replace}, nil
}

func sidecarID(of string) string { return of + "-sidecar-proxy" }

// sidecarDefinition completes what is defined of a sidecar by what stands in its service's definition.
func sidecarDefinition(of *catalog.ServiceDefinition) *catalog.ServiceDefinition {
	d := *of.Connect.SidecarService
	d.Kind = catalog.ConnectProxy
	d.ID = sidecarID(of.ID)
	d.Name = firstOf(d.Name, of.Name+"-sidecar-proxy")
	d.Token = firstOf(d.Token, of.Token)
	if d.Tags == nil {
		d.Tags = of.Tags
	}
	if d.Meta == nil {
		d.Meta = of.Meta
	}
	if d.Locality == nil {
		d.Locality = of.Locality
	}
	p := catalog.Proxy{}
	if d.Proxy != nil {
		p = *d.Proxy
	}
	p.DestinationServiceName = firstOf(p.DestinationServiceName, of.Name)
	p.DestinationServiceID = firstOf(p.DestinationServiceID, of.ID)
	reached := p.LocalServiceAddress != "" || p.LocalServicePort != 0 || p.LocalServiceSocketPath != ""
	if !reached {
		p.LocalServiceSocketPath = of.SocketPath
	}
	if p.LocalServiceSocketPath == "" {
		p.LocalServiceAddress = firstOf(p.LocalServiceAddress, "127.0.0.1")
		if p.LocalServicePort == 0 {
			p.LocalServicePort = of.Port
		}
	}
	d.Proxy = &p
	return &d
}

// sidecarChecks are the checks of a sidecar that defines none: it listens, and its service is well.
func sidecarChecks(d *catalog.ServiceDefinition, of string) []*catalog.CheckDefinition {
	address := net.JoinHostPort(firstOf(d.Address, "127.0.0.1"), strconv.Itoa(d.Port))
	return []*catalog.CheckDefinition{
		{Name: "Connect Sidecar Listening", TCP: address, Interval: sidecarInterval},
		{Name: "Connect Sidecar Aliasing " + of, AliasService: of},
	}
}

const sidecarInterval = catalog.Duration(10e9)

// sidecarPort is the port that a sidecar has already, or the lowest of the range that no service here has.
func (s *State) sidecarPort(id string) (int, error) {
	taken := map[int]bool{}
	for other, row := range s.Services() {
		if other == id && row.Port >= s.SidecarPorts.Min && row.Port <= s.SidecarPorts.Max {
			return row.Port, nil
		}
		taken[row.Port] = true
	}
	for port := s.SidecarPorts.Min; port <= s.SidecarPorts.Max; port++ {
		if !taken[port] {
			return port, nil
		}
	}
	return 0, rpc.Errorf(rpc.Invalid, "Failed to assign a port to sidecar service %q: all from %d to %d are taken",
		id, s.SidecarPorts.Min, s.SidecarPorts.Max)
}
