package local

import (
	"context"

	"lictor/catalog"
	"lictor/rpc"
	"lictor/view"
)

// Servers is the Catalog of an agent that reaches the servers through Caller and reads through Views.
type Servers struct {
	Caller rpc.Caller
	Views  *view.Views
	Node   string // this agent's
}

// Register makes one write.
func (s *Servers) Register(ctx context.Context, token string, r *catalog.Register) error {
	_, err := catalog.RegisterMethod.Call(ctx, s.Caller, rpc.Header{Token: token}, r)
	return err
}

// Deregister makes one write.
func (s *Servers) Deregister(ctx context.Context, token string, d *catalog.Deregister) error {
	_, err := catalog.DeregisterMethod.Call(ctx, s.Caller, rpc.Header{Token: token}, d)
	return err
}

// Registered reads what the catalog has of the node.
func (s *Servers) Registered(ctx context.Context, token string) (*Remote, error) {
	opts := &view.Options{Header: rpc.Header{Token: token}}
	services, err := view.Read(ctx, s.Views, catalog.NodeServicesQuery, opts, catalog.OnNode{Node: s.Node})
	if err != nil {
		return nil, err
	}
	checks, err := view.Read(ctx, s.Views, catalog.NodeChecksQuery, opts, catalog.NodeChecks{Node: s.Node})
	if err != nil {
		return nil, err
	}
	list := services.Value()
	return &Remote{Node: list.Node, Services: list.Services, Checks: checks.Value().Rows}, nil
}
