package acl

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"lictor/state"
)

// A Resolver finds what tokens may do, on a server: from the state that it holds. What it has found it keeps until the
// token or any policy changes, so that a request costs one look-up.
type Resolver struct {
	DB         func() *state.DB
	Datacenter string
	Defaults   Defaults
	// Secondary tells that another datacenter is the primary one, where ACLs begin. With LocalOnly, too, only local tokens are
	// found: copies that were made of others in the past are not kept up to date.
	Secondary, LocalOnly bool
	// Context ends what the resolver runs.
	Context context.Context
	// Hit and Miss count look-ups; nil counts nothing.
	Hit, Miss func()

	kept    sync.Map // secret -> *resolved
	count   atomic.Int64
	rulings sync.Map // ID -> *Ruling
	compile atomic.Int64
}

// maxResolved bounds what a Resolver keeps of each kind.
const maxResolved = 8192

// A resolved token is an Authorizer that knows when it is out of date.
type resolved struct {
	identity
	watch   *state.WatchSet
	expires time.Time // zero: never

	once   sync.Once // guards the start of the goroutine that closes over
	over   chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
}

// fresh tells whether the answers are still those that the state gives.
func (r *resolved) fresh() bool {
	return !r.watch.Fired() && (r.expires.IsZero() || time.Now().Before(r.expires)) && r.ctx.Err() == nil
}

// ended is closed once the answers are out of date. A goroutine sees to that from the first call on; it ends with the
// answers, or when the resolver forgets them.
func (r *resolved) ended() <-chan struct{} {
	r.once.Do(func() {
		go func() {
			defer close(r.over)
			ctx := r.ctx
			if !r.expires.IsZero() {
				var cancel context.CancelFunc
				ctx, cancel = context.WithDeadline(ctx, r.expires)
				defer cancel()
			}
			_ = r.watch.Wait(ctx)
		}()
	})
	return r.over
}

// Resolve finds what the token with this secret may do; "" is the anonymous token. It fails with ErrNotFound or
// ErrNotBegun.
func (r *Resolver) Resolve(secret string) (Authorizer, error) {
	if found, ok := r.kept.Load(secret); ok {
		if known := found.(*resolved); known.fresh() {
			if r.Hit != nil {
				r.Hit()
			}
			return known, nil
		}
	}
	if r.Miss != nil {
		r.Miss()
	}
	return r.find(secret)
}

func (r *Resolver) find(secret string) (Authorizer, error) {
	tx := r.DB().Read()
	t, err := r.token(tx, secret)
	if err != nil {
		return nil, err
	}
	tx.Changed(rulesIndex) // watched, for all policies and roles
	fresh := &resolved{watch: tx.Watch(), over: make(chan struct{})}
	fresh.ctx, fresh.cancel = context.WithCancel(r.Context)
	var policies []*Policy
	if t != nil {
		policies = policiesOf(tx.Unwatched(), &t.Grants, r.Datacenter)
		fresh.expires, fresh.about = t.ExpirationTime.Time(), Bearer{t.Description, t.CreateTime}
		if t.AccessorID != AnonymousID {
			fresh.accessor = t.AccessorID
		}
	}
	if fresh.Ruling, err = r.ruling(policies); err != nil {
		return nil, err
	}
	r.keep(secret, fresh)
	return fresh, nil
}

// Within finds what a token may do by what tx sees, and keeps nothing: it is for an answer that depends on the rights of a
// token other than the asker's. What it looks at is watched by tx, so that the answer is found anew when that changes. It
// fails as Resolve does.
func (r *Resolver) Within(tx *state.Tx, secret string) (Authorizer, error) {
	t, err := r.token(tx, secret)
	if err != nil {
		return nil, err
	}
	tx.Changed(rulesIndex)
	var a identity
	var policies []*Policy
	if t != nil {
		policies = policiesOf(tx.Unwatched(), &t.Grants, r.Datacenter)
		if t.AccessorID != AnonymousID {
			a.accessor = t.AccessorID
		}
	}
	a.Ruling, err = r.ruling(policies)
	return &a, err
}

// token finds a token that is good. Where there is no anonymous token yet, it is nil.
func (r *Resolver) token(tx *state.Tx, secret string) (*Token, error) {
	switch {
	case secret == hidden: // which everybody knows
		return nil, ErrNotFound
	case secret == "" && r.LocalOnly:
		return nil, ErrNotFound
	case secret == "":
		return Tokens.Get(tx, AnonymousID), nil
	}
	t := Tokens.First(tx, "secret", state.Key(secret))
	switch {
	case t != nil && !t.Expired(time.Now()) && (t.Local || !r.LocalOnly):
		return t, nil
	case t == nil && !r.Secondary && BegunAt(tx) == 0:
		return nil, ErrNotBegun
	}
	return nil, ErrNotFound
}

// ruling compiles policies, unless that has been done before.
func (r *Resolver) ruling(policies []*Policy) (*Ruling, error) {
	id := rulingID(policies, r.Defaults)
	if known, ok := r.rulings.Load(id); ok {
		return known.(*Ruling), nil
	}
	fresh, err := NewRuling(policies, r.Defaults)
	if err != nil {
		return nil, err
	}
	if r.compile.Add(1) > maxResolved {
		r.rulings.Clear()
		r.compile.Store(1)
	}
	r.rulings.Store(id, fresh)
	return fresh, nil
}

// keep remembers what a token may do. Where that is too much all is forgotten, which the next requests make good.
func (r *Resolver) keep(secret string, fresh *resolved) {
	if old, was := r.kept.Swap(secret, fresh); was {
		old.(*resolved).cancel()
		return
	}
	if r.count.Add(1) <= maxResolved {
		return
	}
	r.kept.Range(func(k, v any) bool {
		r.kept.Delete(k)
		v.(*resolved).cancel()
		return true
	})
	r.count.Store(0)
}

// policiesOf are the policies that grants amount to in a datacenter.
func policiesOf(tx *state.Tx, g *Grants, datacenter string) []*Policy {
	var all []*Policy
	add := func(p *Policy) {
		if p != nil && holdsIn(p.Datacenters, datacenter) {
			all = append(all, p)
		}
	}
	collect := func(g *Grants) {
		for _, l := range g.Policies {
			add(Policies.Get(tx, l.ID))
		}
		for _, s := range g.ServiceIdentities {
			add(servicePolicy(s))
		}
		for _, n := range g.NodeIdentities {
			add(nodePolicy(n))
		}
		for _, p := range g.TemplatedPolicies {
			if t := FindTemplate(p.TemplateName, p.TemplateID); t != nil {
				add(t.policy(p.TemplateVariables, p.Datacenters))
			}
		}
	}
	collect(g)
	for _, l := range g.Roles {
		if role := Roles.Get(tx, l.ID); role != nil {
			collect(&role.Grants)
		}
	}
	return all
}

// holdsIn tells whether what is for some datacenters holds in this one.
func holdsIn(datacenters []string, here string) bool {
	for _, dc := range datacenters {
		if dc == here {
			return true
		}
	}
	return len(datacenters) == 0
}
