package acl

import (
	"context"
	"strings"
	"time"

	"lictor/rpc"
	"lictor/state"
)

//go:generate go tool msgp -o tokens_gen.go -tests=false -io=false

// The bounds of a token's life, from now.
const (
	minTTL = time.Minute
	maxTTL = 24 * time.Hour * 365
)

// SetToken makes or changes a token.
func (s *Authority) SetToken(ctx context.Context, az Authorizer, c *TokenChange) (*Token, error) {
	if err := s.require(az, Write); err != nil {
		return nil, err
	}
	tx, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	t := c.Token
	if c.Create {
		err = s.newToken(&t)
	} else {
		err = s.changedToken(tx, &t)
	}
	if err == nil {
		err = settle(tx, &t.Grants, "token")
	}
	if err != nil {
		return nil, err
	}
	return s.putToken(ctx, &SetToken{Token: t, Create: c.Create})
}

// putToken writes a token and gives it as clients see it.
func (s *Authority) putToken(ctx context.Context, cmd *SetToken) (*Token, error) {
	switch {
	case s.Primary == "":
	case !cmd.Token.Local:
		return nil, refuse("tokens that are not local are made in the primary datacenter %q", s.Primary)
	case !s.TokensCopied:
		return nil, errNoLocal
	}
	cmd.Token.seal()
	made, err := apply[*Token](ctx, s, cmd)
	if err != nil {
		return nil, err
	}
	return shown(s.Log.DB().Read().Unwatched(), made), nil
}

// newToken settles what a new token leaves open.
func (s *Authority) newToken(t *Token) error {
	for _, id := range []struct {
		name  string
		value *string
	}{{"AccessorID", &t.AccessorID}, {"SecretID", &t.SecretID}} {
		if *id.value == "" {
			*id.value = newID()
		} else if !uuid.MatchString(*id.value) {
			return refuse("Invalid Token: %s - not a valid UUID", id.name)
		}
	}
	if strings.HasPrefix(t.AccessorID, reservedIDs) || strings.HasPrefix(t.SecretID, reservedIDs) {
		return refuse("Invalid Token: UUIDs with the prefix %q are reserved", reservedIDs)
	}
	if t.AuthMethod != "" {
		return refuse("AuthMethod field is disallowed outside of login")
	}
	t.CreateTime = MomentOf(time.Now())
	return t.settleExpiry()
}

// settleExpiry makes the time of a new token's end.
func (t *Token) settleExpiry() error {
	switch {
	case t.ExpirationTTL < 0:
		return refuse("Token Expiration TTL '%s' should be > 0", t.ExpirationTTL)
	case t.ExpirationTTL > 0 && t.ExpirationTime != 0:
		return refuse("Token Expiration TTL and Expiration Time cannot both be set")
	case t.ExpirationTTL > 0:
		t.ExpirationTime = MomentOf(t.CreateTime.Time().Add(t.ExpirationTTL))
	}
	t.ExpirationTTL = 0
	if t.ExpirationTime == 0 {
		return nil
	}
	switch left := t.ExpirationTime.Time().Sub(t.CreateTime.Time()); {
	case left < 0:
		return refuse("ExpirationTime cannot be before CreateTime")
	case left < minTTL:
		return refuse("ExpirationTime cannot be less than %s in the future (was %s)", minTTL, left.Round(time.Second))
	case left > maxTTL:
		return refuse("ExpirationTime cannot be more than %s in the future (was %s)", maxTTL, left.Round(time.Second))
	}
	return nil
}

// changedToken fills a change in with what cannot change.
func (s *Authority) changedToken(tx *state.Tx, t *Token) error {
	if !uuid.MatchString(t.AccessorID) {
		return errLookup("token")
	}
	old := tokenOf(tx, t.AccessorID)
	switch {
	case old == nil || old.Expired(time.Now()):
		return refuse("Cannot find token %q", t.AccessorID)
	case t.SecretID != "" && t.SecretID != old.SecretID:
		return refuse("Changing a token's SecretID is not permitted")
	case t.Local != old.Local && t.Local:
		return refuse("Cannot toggle local mode of %s", old.AccessorID)
	case t.AuthMethod != "" && t.AuthMethod != old.AuthMethod:
		return refuse("Cannot change AuthMethod of %s", old.AccessorID)
	case t.ExpirationTTL != 0:
		return refuse("Cannot change expiration time of %s", old.AccessorID)
	case t.ExpirationTime != 0 && t.ExpirationTime != old.ExpirationTime:
		return refuse("Cannot change expiration time of %s", old.AccessorID)
	}
	t.AccessorID, t.SecretID, t.Local, t.AuthMethod = old.AccessorID, old.SecretID, old.Local, old.AuthMethod
	t.CreateTime, t.ExpirationTime = old.CreateTime, old.ExpirationTime
	return nil
}

// CloneToken makes a token with the grants of another.
func (s *Authority) CloneToken(ctx context.Context, az Authorizer, c *Clone) (*Token, error) {
	if err := s.require(az, Write); err != nil {
		return nil, err
	}
	tx, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	if !uuid.MatchString(c.AccessorID) {
		return nil, errLookup("token")
	}
	old := tokenOf(tx, c.AccessorID)
	switch {
	case old == nil || old.Expired(time.Now()):
		return nil, errNoToken
	case old.AuthMethod != "":
		return nil, rpc.Errorf(rpc.PermissionDenied, "Permission denied: cannot clone a token created from an auth method")
	}
	t := Token{AccessorID: newID(), SecretID: newID(), Description: old.Description, Grants: shownGrants(tx, &old.Grants), Local: old.Local,
		ExpirationTime: old.ExpirationTime, CreateTime: MomentOf(time.Now())}
	if c.Description != "" {
		t.Description = c.Description
	}
	return s.putToken(ctx, &SetToken{Token: t, Create: true})
}

// DeleteToken removes a token, and answers whether it was there.
func (s *Authority) DeleteToken(ctx context.Context, az Authorizer, q *ByID) (bool, error) {
	if err := s.require(az, Write); err != nil {
		return false, err
	}
	switch {
	case !uuid.MatchString(q.ID):
		return false, errLookup("token")
	case strings.ToLower(q.ID) == AnonymousID:
		return false, refuse("Delete operation not permitted on the anonymous token")
	case strings.EqualFold(q.ID, az.Accessor()):
		return false, refuse("Deletion of the request's authorization token is not permitted")
	}
	n, err := apply[int](ctx, s, &DeleteTokens{[]string{q.ID}})
	return n > 0, err
}

// Reap removes the tokens that have expired, at once when they do, until ctx ends. It is a duty of the leader.
func (s *Authority) Reap(ctx context.Context) {
	for ctx.Err() == nil {
		tx := s.Log.DB().Read()
		now, next := time.Now(), time.Now().Add(time.Hour)
		var old []string
		for t := range Tokens.Prefix(tx, "expires", "") { // the first to expire comes first
			if !t.Expired(now) || len(old) == 512 {
				if end := t.ExpirationTime.Time(); end.Before(next) { // else it is looked at again before, as the clock may be set
					next = end
				}
				break
			}
			old = append(old, t.AccessorID)
		}
		if len(old) > 0 {
			if _, err := s.Log.Apply(ctx, &DeleteTokens{old}); err == nil {
				continue
			}
			next = now.Add(time.Second)
		}
		bounded, cancel := context.WithDeadline(ctx, next)
		_ = tx.Watch().Wait(bounded)
		cancel()
	}
}

// A Resolution is what needs to be known of a token where it is not.
type Resolution struct {
	AccessorID  string    // "" is the anonymous token
	Policies    []*Policy `msg:"Policies,allownil"`
	Description string
	CreateTime  Moment
	Left        time.Duration // until the token's end, by the clock of the server, when all this was true; 0: it has no end
	Age         time.Duration // since then
}

// Resolve tells another agent what the caller's token may do.
func (s *Authority) Resolve(_ context.Context, az Authorizer, _ *struct{}) (*Resolution, error) {
	switch known := az.(type) {
	case *heard:
		said := *known.said
		said.Age = time.Since(known.at)
		return &said, nil
	case *blanket: // the agent has a policy of its own for that
		return nil, known.cause
	}
	return s.resolution(az, s.Datacenter)
}

// ResolveGlobal tells the servers of another datacenter what the caller's token may do there. Local tokens are good for nothing
// in other datacenters.
func (s *Authority) ResolveGlobal(_ context.Context, az Authorizer, q *Abroad) (*Resolution, error) {
	if s.Primary != "" {
		return nil, rpc.Errorf(rpc.NoDatacenter, "%q is not the primary datacenter: %q is", s.Datacenter, s.Primary)
	}
	return s.resolution(az, q.Datacenter)
}

// resolution is what a token may do in a datacenter.
func (s *Authority) resolution(az Authorizer, datacenter string) (*Resolution, error) {
	if !s.Enabled {
		return nil, ErrDisabled
	}
	tx := s.Log.DB().Read().Unwatched()
	id := az.Accessor()
	if id == "" {
		id = AnonymousID
	}
	t, now := tokenOf(tx, id), time.Now()
	switch {
	case t == nil && id == AnonymousID:
		return &Resolution{}, nil
	case t == nil || t.Expired(now) || t.Local && datacenter != s.Datacenter:
		return nil, ErrNotFound
	}
	said := &Resolution{AccessorID: az.Accessor(), Policies: policiesOf(tx, &t.Grants, datacenter), Description: t.Description, CreateTime: t.CreateTime}
	if t.ExpirationTime != 0 {
		said.Left = t.ExpirationTime.Time().Sub(now)
	}
	return said, nil
}
