package acl

import (
	"context"
	"sync"
	"time"

	"lictor/rpc"
)

// What holds while the servers cannot be asked.
const (
	DownAllow  = "allow"        // everything
	DownDeny   = "deny"         // nothing
	DownExtend = "extend-cache" // what was last heard; tokens that were never asked about get the error
	DownAsync  = "async-cache"  // as extend-cache; and nobody waits for what has been heard once
)

// A Remote finds what tokens may do where they are not known: on an agent without the state, which asks the servers, and on
// servers that do not copy the tokens of the primary datacenter, which ask that. It keeps what they say.
type Remote struct {
	Ask      func(ctx context.Context, secret string) (*Resolution, error)
	Defaults Defaults
	TTL      time.Duration // for how long an answer is good
	Down     string
	Context  context.Context // ends questions that nobody waits for

	mu     sync.Mutex // guards what follows
	kept   map[string]*heard
	failed map[string]*failure // of the last question about a token, if nobody could answer it
	asking map[string]*question
}

// A failure is what holds for a token since a question about it could not be answered. It holds for TTL: the servers are asked
// meanwhile, but nobody waits for that.
type failure struct {
	reply Authorizer
	at    time.Time
}

// still is what holds by a failure, if it still does. Whoever waits for an answer by it looks at it again soon.
func (f *failure) still(ttl time.Duration) Authorizer {
	if f == nil || time.Since(f.at) >= ttl {
		return nil
	}
	switch was := f.reply.(type) {
	case *blanket:
		return &blanket{was.Authorizer, newSpell(0), was.cause}
	case *heard:
		if was.good() {
			return was.again()
		}
	}
	return nil
}

// heard is what was said of a token.
type heard struct {
	identity
	*spell
	said *Resolution
	at   time.Time // when that was true, by this agent's clock, which need not be right
}

// again is the same for another moment, although it was heard too long ago.
func (h *heard) again() *heard { return &heard{h.identity, newSpell(0), h.said, h.at} }

func (h *heard) good() bool {
	return h != nil && (h.said.Left == 0 || time.Since(h.at) < h.said.Left)
}

// A blanket is what holds for all tokens of which nothing can be heard.
type blanket struct {
	Authorizer
	*spell
	cause error
}

// A spell is how long an answer holds for who waits: then the token has to be looked at again.
type spell struct {
	end  time.Time
	once sync.Once // guards the start of the timer that closes over
	over chan struct{}
}

// shortestSpell keeps those who wait from asking again all the time where answers are good for a moment only.
const shortestSpell = time.Second

func newSpell(ttl time.Duration) *spell {
	return &spell{end: time.Now().Add(max(ttl, shortestSpell)), over: make(chan struct{})}
}

func (s *spell) fresh() bool { return time.Now().Before(s.end) }

func (s *spell) ended() <-chan struct{} {
	s.once.Do(func() { time.AfterFunc(time.Until(s.end), func() { close(s.over) }) })
	return s.over
}

// A question is under way for all who ask the same.
type question struct {
	done  chan struct{}
	reply Authorizer
	err   error
}

// Resolve finds what the token with this secret may do; "" is the anonymous token. It fails with the error that the
// servers have answered.
func (r *Remote) Resolve(ctx context.Context, secret string) (Authorizer, error) {
	if known, ok := r.Heard(secret); ok {
		return known, nil
	}
	r.mu.Lock()
	h, holds := r.kept[secret], r.failed[secret].still(r.TTL)
	q := r.asking[secret]
	if q == nil {
		q = &question{done: make(chan struct{})}
		if r.asking == nil {
			r.asking = map[string]*question{}
		}
		r.asking[secret] = q
		go r.ask(secret, h, q)
	}
	r.mu.Unlock()
	switch {
	case holds != nil:
		return holds, nil
	case r.Down == DownAsync && h.good():
		return h.again(), nil
	}
	select {
	case <-q.done:
		return q.reply, q.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// askTimeout bounds a question.
const askTimeout = 10 * time.Second

// ask asks the servers. It ends when they have answered, or cannot be reached.
func (r *Remote) ask(secret string, old *heard, q *question) {
	ctx, cancel := context.WithTimeout(r.Context, askTimeout)
	defer cancel()
	said, err := r.Ask(ctx, secret)
	var fresh *heard
	if err == nil {
		fresh, err = r.take(said)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.asking, secret)
	delete(r.failed, secret)
	defer close(q.done)
	switch code := rpc.CodeOf(err); {
	case err == nil:
		if r.kept == nil || len(r.kept) >= maxResolved {
			r.kept = map[string]*heard{}
		}
		r.kept[secret] = fresh
		q.reply = fresh
	case code == rpc.PermissionDenied || code == codeDisabled:
		delete(r.kept, secret)
		q.err = err
	case r.Down == DownAllow:
		q.reply = r.fail(secret, &blanket{AllowAll(), newSpell(0), err})
	case r.Down == DownDeny:
		q.reply = r.fail(secret, &blanket{DenyAll(), newSpell(0), err})
	case old.good():
		q.reply = r.fail(secret, old.again())
	default:
		q.err = err // which says more than a denial
	}
}

// fail notes what holds for a token while nobody can be asked. The caller holds mu.
func (r *Remote) fail(secret string, reply Authorizer) Authorizer {
	if r.failed == nil || len(r.failed) >= maxResolved {
		r.failed = map[string]*failure{}
	}
	r.failed[secret] = &failure{reply, time.Now()}
	return reply
}

func (r *Remote) take(said *Resolution) (*heard, error) {
	ruling, err := NewRuling(said.Policies, r.Defaults)
	if err != nil {
		return nil, err
	}
	at := time.Now().Add(-said.Age)
	ttl := r.TTL - said.Age
	if said.Left != 0 {
		ttl = min(ttl, said.Left-said.Age)
	}
	return &heard{identity{ruling, said.AccessorID, Bearer{said.Description, said.CreateTime}}, newSpell(ttl), said, at}, nil
}

// Heard is what was last heard of a token, if that still holds: nobody has to be asked.
func (r *Remote) Heard(secret string) (Authorizer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.kept[secret]
	return h, h.good() && time.Since(h.at) < r.TTL
}
