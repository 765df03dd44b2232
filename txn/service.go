package txn

import (
	"context"
	"errors"
	"time"

	"lictor/acl"
	"lictor/catalog"
	"lictor/kv"
	"lictor/rpc"
	"lictor/session"
	"lictor/state"
	"lictor/telemetry"
)

//msgp:ignore Service
//go:generate go tool msgp -o service_gen.go -tests=false -io=false

// The methods. A transaction that only reads comes by ReadMethod, any other by WriteMethod.
var (
	WriteMethod = rpc.Method[Ops, Response]{Name: "Txn.Write"}
	ReadMethod  = rpc.Method[Read, ReadResponse]{Name: "Txn.Read", Anywhere: true, Repeatable: true}
)

// Read asks for a transaction that only reads.
type Read struct {
	Ops Ops
	state.ReadOptions
}

// A Service answers the package's methods on a server.
type Service struct {
	Log     state.Log
	Catalog *catalog.Service // knows who may write to the catalog
	Delays  *session.Delays
	Keys    *kv.Expiry // of keys with a TTL
	// Reads takes how long a transaction takes that only reads; nil takes nothing.
	Reads *telemetry.Sample
}

// onNode is the registration of an instance alone, on a node that stays as it is.
func (s *Service) onNode(node string, i *catalog.Instance) *catalog.Register {
	r := &catalog.Register{Node: node, SkipNodeUpdate: true, Service: i}
	if n := catalog.FindNode(s.Log.DB().Read().Unwatched(), node); n != nil {
		r.Node = n.Node
	}
	return r
}

// Write carries out a transaction. Its error is about the whole; what is wrong with operations is in the Response.
func (s *Service) Write(ctx context.Context, az acl.Authorizer, ops *Ops) (Response, error) {
	if refused := s.inspect(az, *ops); refused != nil {
		return Response{Errors: refused}, nil
	}
	for {
		seen, refused := s.delayed(*ops)
		if refused != nil {
			return Response{Errors: refused}, nil
		}
		answer, err := s.Log.Apply(ctx, &Apply{Ops: *ops, Seen: seen})
		if errors.Is(err, errAgain) {
			continue
		}
		var failure *Failure
		if errors.As(err, &failure) {
			return Response{Errors: failure.Errors}, nil
		}
		if err != nil {
			return Response{}, err
		}
		for i := range *ops {
			if op := (*ops)[i].KV; op != nil && op.TTL != "" {
				s.Keys.Written(op.Key)
			}
		}
		return Response{Results: answer.([]Result)}, nil
	}
}

// delayed refuses to lock keys during a lock delay, and tells the log index up to which it knows of delays.
func (s *Service) delayed(ops Ops) (seen uint64, refused []OpError) {
	for i := range ops {
		op := ops[i].KV
		if op == nil || op.Verb != Lock {
			continue
		}
		if seen == 0 {
			seen = session.Seen(s.Log.DB())
		}
		if s.Delays.Active(op.Key) {
			refused = append(refused, OpError{i, errDelayed(op.Key).Error()})
		}
	}
	return seen, refused
}

// Read carries out a transaction that only reads.
func (s *Service) Read(ctx context.Context, az acl.Authorizer, q *Read) (ReadResponse, error) {
	defer s.Reads.Since(time.Now())
	if refused := s.inspect(az, q.Ops); refused != nil {
		return ReadResponse{Errors: refused}, nil
	}
	var r run
	meta, err := state.Read(ctx, s.Log, q.ReadOptions, func(tx *state.Tx) error {
		r = run{tx: tx.Unwatched(), az: az}
		r.all(q.Ops)
		return nil
	})
	if err != nil {
		return ReadResponse{}, err
	}
	answer := ReadResponse{Errors: r.errors, Index: r.index(), KnownLeader: meta.KnownLeader, LastContact: meta.LastContact,
		ResultsFilteredByACLs: r.filtered}
	if r.errors == nil {
		answer.Results = r.results
	}
	return answer, nil
}

// index is the log index at which anything that a transaction can read has last changed.
func (r *run) index() uint64 {
	index := uint64(1)
	for _, tables := range [][]state.AnyTable{kv.Tables(), catalog.Tables()} {
		for _, t := range tables {
			index = max(index, r.tx.Changed(t.Name()))
		}
	}
	return index
}
