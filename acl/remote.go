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
	asking map[string]*question
}

// heard is what was said of a token.
type heard struct {
	identity
	*spell
	said *Resolution
	at   time.Time // when that was true, by this agent's clock, which need not be right
}

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
	h := r.kept[secret]
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
	if r.Down == DownAsync && h.good() {
		return h, nil
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
		q.reply = &blanket{AllowAll(), newSpell(0), err}
	case r.Down == DownDeny:
		q.reply = &blanket{DenyAll(), newSpell(0), err}
	case old.good():
		q.reply = &heard{old.identity, newSpell(0), old.said, old.at}
	default:
		q.err = err // which says more than a denial
	}
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
