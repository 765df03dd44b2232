package session

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"lictor/acl"
	"lictor/kv"
	"lictor/rpc"
	"lictor/state"
	"lictor/telemetry"
)

//msgp:ignore Service
//go:generate go tool msgp -o service_gen.go -tests=false -io=false

// The methods. Create answers the new session's ID; Destroy answers true; Lock answers whether the lock was acquired or
// given up.
var (
	CreateMethod  = rpc.Method[Create, string]{Name: "Session.Create"}
	DestroyMethod = rpc.Method[Destroy, bool]{Name: "Session.Destroy"}
	RenewMethod   = rpc.Method[Renew, *Session]{Name: "Session.Renew", Repeatable: true}
	LockMethod    = rpc.Method[Lock, bool]{Name: "KV.Lock"}
)

// Renew asks that a session live for another TTL.
type Renew struct{ ID string }

// MaxTTL is the longest TTL of a session, MinTTL the shortest unless the configuration says otherwise.
const (
	MinTTL = 10 * time.Second
	MaxTTL = 24 * time.Hour
)

// A Service answers the package's methods and queries on a server.
type Service struct {
	Log    state.Log
	Delays *Delays
	Expiry *Expiry
	Keys   *kv.Expiry    // of keys with a TTL
	MinTTL time.Duration // 0 means MinTTL
	// Renewed takes how long it takes to renew a session; nil takes nothing.
	Renewed *telemetry.Sample
}

// Create makes a session.
func (s *Service) Create(ctx context.Context, az acl.Authorizer, c *Create) (string, error) {
	if c.Session.Node == "" {
		return "", errNoNode
	}
	if err := acl.Require(az, acl.Session, c.Session.Node, acl.Write); err != nil {
		return "", err
	}
	if err := s.prepare(&c.Session); err != nil {
		return "", err
	}
	c.Session.ID = newID()
	if _, err := s.Log.Apply(ctx, c); err != nil {
		return "", said("apply failed", err)
	}
	s.Expiry.Reset(&c.Session)
	return c.Session.ID, nil
}

// prepare validates a new session and fills in what it leaves out.
func (s *Service) prepare(n *Session) error {
	switch n.Behavior {
	case "":
		n.Behavior = KeysRelease
	case KeysRelease, KeysDelete:
	default:
		return errBehavior(n.Behavior)
	}
	if len(n.ServiceChecks) == 0 {
		n.ServiceChecks = nil // as it is shown
	}
	if n.TTL == "" {
		return nil
	}
	ttl, err := time.ParseDuration(n.TTL)
	if err != nil {
		return errNoTTL(n.TTL, err)
	}
	shortest := s.MinTTL
	if shortest == 0 {
		shortest = MinTTL
	}
	if ttl != 0 && (ttl < shortest || ttl > MaxTTL) {
		return errTTL(ttl, shortest)
	}
	return nil
}

// newID makes a random identifier in the form of a UUID.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Destroy ends sessions.
func (s *Service) Destroy(ctx context.Context, az acl.Authorizer, d *Destroy) (bool, error) {
	if _, err := s.Log.Fresh(ctx, state.ReadOptions{}); err != nil {
		return false, err
	}
	tx := s.Log.DB().Read().Unwatched()
	there := false
	for _, id := range d.IDs {
		old := Find(tx, id)
		if old == nil {
			continue
		}
		if err := acl.Require(az, acl.Session, old.Node, acl.Write); err != nil {
			return false, err
		}
		there = true
	}
	if !there {
		return true, nil
	}
	_, err := s.Log.Apply(ctx, d)
	return err == nil, err
}

// Renew lets a session live for another TTL and answers it. Nothing is written to the log.
func (s *Service) Renew(ctx context.Context, az acl.Authorizer, r *Renew) (*Session, error) {
	defer s.Renewed.Since(time.Now())
	if _, err := s.Log.Fresh(ctx, state.ReadOptions{}); err != nil {
		return nil, err
	}
	found := Find(s.Log.DB().Read().Unwatched(), r.ID)
	if found == nil {
		return nil, errNotFound(r.ID)
	}
	if err := acl.Require(az, acl.Session, found.Node, acl.Write); err != nil {
		return nil, err
	}
	if !s.Expiry.Reset(found) {
		return nil, errNotFound(r.ID)
	}
	return found, nil
}

// Lock acquires or gives up the lock on a key. During its lock delay nobody acquires it.
func (s *Service) Lock(ctx context.Context, az acl.Authorizer, l *Lock) (bool, error) {
	if err := acl.Require(az, acl.Key, l.Key, acl.Write); err != nil {
		return false, err
	}
	if l.Key == "" {
		return false, kv.ErrMissingKey
	}
	if err := kv.CheckTTL(l.TTL); err != nil {
		return false, err
	}
	for {
		attempt := *l
		if attempt.Seen = Seen(s.Log.DB()); !l.Release && s.Delays.Active(l.Key) {
			return false, nil
		}
		answer, err := s.Log.Apply(ctx, &attempt)
		if err != nil {
			return false, said("raft apply failed", err)
		}
		if outcome := answer.(Outcome); outcome != Again {
			if outcome == Done && l.TTL != "" {
				s.Keys.Written(l.Key)
			}
			return outcome == Done, nil
		}
	}
}
