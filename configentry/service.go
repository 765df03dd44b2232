package configentry

import (
	"context"

	"lictor/acl"
	"lictor/rpc"
	"lictor/state"
)

//msgp:ignore Service

// The methods. Both answer whether something was done.
var (
	PutMethod    = rpc.Method[Put, bool]{Name: "ConfigEntry.Apply"}
	DeleteMethod = rpc.Method[Delete, bool]{Name: "ConfigEntry.Delete"}
)

// A Service answers the package's methods and queries on a server.
type Service struct {
	Log state.Log
	// DenyCalls says what holds for calls of which no intention speaks.
	DenyCalls bool
}

// Put writes an entry, which Parse has made.
func (s *Service) Put(ctx context.Context, az acl.Authorizer, p *Put) (bool, error) {
	if err := may(az, p.Entry.Kind, p.Entry.Name, acl.Write); err != nil {
		return false, err
	}
	c, err := p.Entry.Content()
	if err != nil {
		return false, refuse("%v", err)
	}
	if err := c.settle(p.Entry.Name); err != nil {
		return false, err
	}
	if err := p.Entry.seal(c); err != nil {
		return false, err
	}
	answer, err := s.Log.Apply(ctx, p)
	if err != nil {
		return false, err
	}
	return answer.(bool), nil
}

// Delete removes an entry.
func (s *Service) Delete(ctx context.Context, az acl.Authorizer, d *Delete) (bool, error) {
	if !KnownKind(d.Kind) {
		return false, unknownKind(d.Kind)
	}
	if err := may(az, d.Kind, d.Name, acl.Write); err != nil {
		return false, err
	}
	answer, err := s.Log.Apply(ctx, d)
	if err != nil {
		return false, err
	}
	return answer.(bool), nil
}

// may asks for access to an entry: to those of a service or gateway by its name, to those of the mesh as a whole by the
// resource of that name.
func may(az acl.Authorizer, kind, name string, access acl.Access) error {
	switch kind {
	case ServiceDefaults, ServiceRouter, ServiceSplitter, ServiceResolver:
		return acl.Require(az, acl.Service, name, access)
	case ServiceIntentions:
		if name == wildcard && access == acl.Write { // which is about every service
			if !az.Allow(acl.Intention, "", acl.WritePrefix) {
				return acl.Deny(az, acl.Intention, name, access)
			}
			return nil
		}
		return acl.Require(az, acl.Intention, name, access)
	case IngressGateway, TerminatingGateway, APIGateway, BoundAPIGateway:
		if access == acl.Read {
			return acl.Require(az, acl.Service, name, access)
		}
	case ProxyDefaults, Mesh:
		if access == acl.Read { // which every proxy needs
			return nil
		}
	}
	return acl.Require(az, acl.Mesh, "", access)
}

// Ensure writes the entries of a configuration that do not exist yet: a duty of the leader.
func (s *Service) Ensure(ctx context.Context, forms []map[string]any) error {
	for _, f := range forms {
		e, err := Parse(f)
		if err != nil {
			return err
		}
		if Find(s.Log.DB().Read().Unwatched(), e.Kind, e.Name) != nil {
			continue
		}
		if _, err := s.Put(ctx, acl.AllowAll(), &Put{Entry: *e, Missing: true}); err != nil {
			return err
		}
	}
	return nil
}

// Check tells what is wrong with an entry by itself.
func Check(e *Entry) error {
	c, err := e.Content()
	if err != nil {
		return err
	}
	return c.settle(e.Name)
}
