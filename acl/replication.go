package acl

import (
	"context"
	"strings"
	"time"

	"lictor/rpc"
	"lictor/state"
)

//msgp:timezone utc
//go:generate go tool msgp -o replication_gen.go -tests=false -io=false

// Own says which calls belong to the primary datacenter, where this is another one.
func (s *Authority) Own(r *rpc.Registry[Authorizer]) {
	if s.Primary == "" {
		return
	}
	rpc.Own(r, SetPolicyMethod, func(rpc.Header, *PolicyChange) bool { return true })
	rpc.Own(r, DeletePolicyMethod, func(rpc.Header, *ByID) bool { return true })
	rpc.Own(r, SetRoleMethod, func(rpc.Header, *RoleChange) bool { return true })
	rpc.Own(r, DeleteRoleMethod, func(rpc.Header, *ByID) bool { return true })
	rpc.Own(r, SetTokenMethod, func(_ rpc.Header, c *TokenChange) bool {
		if c.Create {
			return !c.Token.Local
		}
		return !s.localAccessor(c.Token.AccessorID)
	})
	rpc.Own(r, CloneTokenMethod, func(_ rpc.Header, c *Clone) bool { return !s.localAccessor(c.AccessorID) })
	rpc.Own(r, DeleteTokenMethod, func(_ rpc.Header, q *ByID) bool { return !s.localAccessor(q.ID) })
	rpc.Own(r, LogoutMethod, func(h rpc.Header, _ *struct{}) bool { return !s.LocalSecret(h.Token) })
	rpc.Own(r, SelfMethod, func(h rpc.Header, _ *struct{}) bool { return !s.TokensCopied && !s.LocalSecret(h.Token) })
}

// localAccessor tells whether an accessor is that of a local token.
func (s *Authority) localAccessor(id string) bool {
	t := Tokens.Get(s.Log.DB().Read().Unwatched(), strings.ToLower(id))
	return t != nil && t.Local
}

// LocalSecret tells whether a secret is that of a token which is good in this datacenter alone. Such a token does not travel
// to others.
func (s *Authority) LocalSecret(secret string) bool {
	t := Tokens.First(s.Log.DB().Read().Unwatched(), "secret", state.Key(secret))
	return t != nil && t.Local
}

// Replication is how the copying of ACLs goes. The indexes are those of the primary datacenter.
type Replication struct {
	Enabled, Running                                           bool
	SourceDatacenter, ReplicationType                          string
	ReplicatedIndex, ReplicatedRoleIndex, ReplicatedTokenIndex uint64
	LastSuccess, LastError                                     time.Time
	LastErrorMessage                                           string
}

// Replication tells how the copying of ACLs goes. Nobody needs a token to ask.
func (s *Authority) Replication(_ context.Context, _ Authorizer, _ *struct{}) (*Replication, error) {
	if !s.Enabled || s.Copying == nil {
		return new(Replication), nil
	}
	c := s.Copying()
	r := &Replication{Enabled: true, Running: c.Running, SourceDatacenter: s.Primary, ReplicationType: "policies",
		ReplicatedIndex: c.Indexes[0], ReplicatedRoleIndex: c.Indexes[1],
		LastSuccess: c.LastSuccess, LastError: c.LastError, LastErrorMessage: c.LastErrorMessage}
	if s.TokensCopied {
		r.ReplicationType, r.ReplicatedTokenIndex = "tokens", c.Indexes[2]
	}
	return r, nil
}
