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

// A Remote finds what tokens may do on an agent without the state: it asks the servers and keeps what they say.
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

// heard is what the servers have said of a token.
type heard struct {
	identity
	at      time.Time
	expires Moment
}

func (h *heard) good() bool {
	return h != nil && (h.expires == 0 || time.Now().Before(h.expires.Time()))
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
	r.mu.Lock()
	h := r.kept[secret]
	if h.good() && time.Since(h.at) < r.TTL {
		r.mu.Unlock()
		return h, nil
	}
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
		q.reply = AllowAll()
	case r.Down == DownDeny:
		q.reply = DenyAll()
	case old.good():
		q.reply = old
	default:
		q.err = err // which says more than a denial
	}
}

func (r *Remote) take(said *Resolution) (*heard, error) {
	ruling, err := NewRuling(said.Policies, r.Defaults)
	if err != nil {
		return nil, err
	}
	return &heard{identity: identity{ruling, said.AccessorID, Bearer{said.Description, said.CreateTime}}, at: time.Now(), expires: said.ExpirationTime}, nil
}
