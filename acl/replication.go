package acl

import (
	"context"
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
	rpc.Own(r, SetPolicyMethod, func(context.Context, rpc.Header, *PolicyChange) bool { return true })
	rpc.Own(r, DeletePolicyMethod, func(context.Context, rpc.Header, *ByID) bool { return true })
	rpc.Own(r, SetRoleMethod, func(context.Context, rpc.Header, *RoleChange) bool { return true })
	rpc.Own(r, DeleteRoleMethod, func(context.Context, rpc.Header, *ByID) bool { return true })
	elsewhere := func(ctx context.Context, h rpc.Header, id string) bool {
		return !stays(h, s.find(ctx, func(tx *state.Tx) *Token { return tokenOf(tx, id) }))
	}
	rpc.Own(r, SetTokenMethod, func(ctx context.Context, h rpc.Header, c *TokenChange) bool {
		if c.Create {
			return !c.Token.Local
		}
		return elsewhere(ctx, h, c.Token.AccessorID)
	})
	rpc.Own(r, CloneTokenMethod, func(ctx context.Context, h rpc.Header, c *Clone) bool { return elsewhere(ctx, h, c.AccessorID) })
	rpc.Own(r, DeleteTokenMethod, func(ctx context.Context, h rpc.Header, q *ByID) bool { return elsewhere(ctx, h, q.ID) })
	rpc.Own(r, LogoutMethod, func(ctx context.Context, h rpc.Header, _ *struct{}) bool {
		return !stays(h, s.find(ctx, withSecret(h.Token)))
	})
}

// stays tells whether a call about a token is for this datacenter: it is a local one, or was one for the server that sent the call
// on and is gone by now.
func stays(h rpc.Header, t *Token) bool { return t != nil && t.Local || t == nil && h.Direct }

// LocalSecret tells whether a secret is that of a token which is good in this datacenter alone. Such a token does not travel
// to others.
func (s *Authority) LocalSecret(ctx context.Context, secret string) bool {
	t := s.find(ctx, withSecret(secret))
	return t != nil && t.Local
}

func withSecret(secret string) func(tx *state.Tx) *Token {
	return func(tx *state.Tx) *Token { return Tokens.First(tx, "secret", state.Key(secret)) }
}

// doubt bounds how long a token that is not known here is waited for.
const doubt = time.Second

// find finds a token that may be a local one. One that is not here may have been made a moment ago at the leader, so that is asked
// how far this server has to be; while there is none, what is not here is not local.
func (s *Authority) find(ctx context.Context, by func(tx *state.Tx) *Token) *Token {
	t := by(s.Log.DB().Read().Unwatched())
	if t == nil && (s.Primary == "" || s.TokensCopied) { // else no local tokens are made here
		ctx, cancel := context.WithTimeout(ctx, doubt)
		defer cancel()
		if _, err := s.Log.Fresh(ctx, state.ReadOptions{}); err == nil {
			t = by(s.Log.DB().Read().Unwatched())
		}
	}
	return t
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
