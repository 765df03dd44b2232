package kv

import (
	"context"

	"lictor/acl"
	"lictor/rpc"
	"lictor/state"
)

// The methods. Both answer whether they changed what they were asked to.
var (
	PutMethod    = rpc.Method[Put, bool]{Name: "KV.Put"}
	DeleteMethod = rpc.Method[Delete, bool]{Name: "KV.Delete"}
)

// A Service answers the package's methods and queries on a server.
type Service struct {
	Log    state.Log
	Expiry *Expiry // nil knows of no TTLs
}

// Put writes a key.
func (s *Service) Put(ctx context.Context, az acl.Authorizer, p *Put) (bool, error) {
	if err := acl.Require(az, acl.Key, p.Key, acl.Write); err != nil {
		return false, err
	}
	if p.Key == "" {
		return false, ErrMissingKey
	}
	if err := CheckTTL(p.TTL); err != nil {
		return false, err
	}
	done, err := s.apply(ctx, p)
	if done && p.TTL != "" {
		s.Expiry.Written(p.Key)
	}
	return done, err
}

// Delete removes a key or a tree of keys.
func (s *Service) Delete(ctx context.Context, az acl.Authorizer, d *Delete) (bool, error) {
	access := acl.Write
	if d.Recurse {
		access = acl.WritePrefix
	}
	if err := acl.Require(az, acl.Key, d.Key, access); err != nil {
		return false, err
	}
	if d.Key == "" && !d.Recurse {
		return false, ErrMissingKey
	}
	return s.apply(ctx, d)
}

func (s *Service) apply(ctx context.Context, cmd state.Command) (bool, error) {
	answer, err := s.Log.Apply(ctx, cmd)
	if err != nil {
		return false, err
	}
	return answer.(bool), nil
}

// ErrMissingKey tells that a write names no key.
var ErrMissingKey = rpc.Errorf(rpc.Invalid, "Missing key name")
