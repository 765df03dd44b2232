package ca

import (
	"context"
	"time"

	"lictor/acl"
	"lictor/rpc"
	"lictor/state"
)

//msgp:ignore Service
//go:generate go tool msgp -o service_gen.go -tests=false -io=false

// RootsQuery asks for all roots.
var RootsQuery = rpc.Query[struct{}, *Roots]{Name: "ConnectCA.Roots"}

// Roots are all roots that clients must trust.
type Roots struct {
	ActiveRootID string
	TrustDomain  string
	Roots        []*Root `msg:"Roots,allownil"`
}

// A Service answers the package's queries on a server.
type Service struct {
	Log     state.Log
	Enabled bool // as configured by connect.enabled
}

// ErrDisabled tells that the mesh is switched off.
var ErrDisabled = rpc.Errorf(rpc.Internal, "Connect must be enabled in order to use this endpoint")

// Roots answers RootsQuery, to anybody: roots are public.
func (s *Service) Roots(tx *state.Tx, _ acl.Authorizer, _ *struct{}) (*Roots, uint64, error) {
	if !s.Enabled {
		return nil, 0, ErrDisabled
	}
	answer := &Roots{}
	for r := range RootTable.All(tx) {
		answer.Roots = append(answer.Roots, r)
		if r.Active {
			answer.ActiveRootID, answer.TrustDomain = r.ID, TrustDomain(r.ExternalTrustDomain)
		}
	}
	return answer, tx.Unwatched().Changed(RootTable.Name()), nil
}

// Ensure makes the first root of the cluster with this id, unless there is one: a duty of the leader.
func Ensure(ctx context.Context, log state.Log, clusterID string, now time.Time) error {
	for range RootTable.All(log.DB().Read()) {
		return nil
	}
	first, err := Generate(clusterID, now)
	if err != nil {
		return err
	}
	_, err = log.Apply(ctx, first)
	return err
}
