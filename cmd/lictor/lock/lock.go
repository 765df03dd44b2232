// Package lock takes locks that are shared with all clients of a datacenter: a mutex on one key, or a semaphore below a
// prefix. It knows how Consul's clients write them to the key/value store, so that all of them exclude each other, and
// how a session is kept alive. It knows nothing of what a lock is for.
package lock

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"
	"time"

	"lictor/cmd/lictor/client"
)

// The errors of Acquire that callers may tell apart. All holders of a lock must agree on what it is.
var (
	// ErrConflict means that the key is there and is not a lock of this kind.
	ErrConflict = errors.New("the key exists and is no lock of this kind: another program uses it, or others use the prefix with -n=1 or without")
	// ErrLimit means that the others let in another number of holders.
	ErrLimit = errors.New("the semaphore has another limit")
	// ErrSession means that the session has ended while the lock was waited for.
	ErrSession = errors.New("the session has ended")
)

// Config says which lock to take.
type Config struct {
	Agent client.Doer
	// Prefix is the folder that the lock's keys are in.
	Prefix string
	// Limit is how many may hold the lock at once: a mutex for 1, else a semaphore.
	Limit int
	// Session is the name that the session is listed by.
	Session string
	// Retries is how many failures in a row of the agent to answer are borne, a second apart each, by what waits
	// for the lock or looks after it.
	Retries int
}

// A Held lock is held until Release, or until Lost is closed.
type Held struct {
	config  Config
	session string
	scheme  scheme

	life    context.Context // until the lock is lost or released
	end     context.CancelFunc
	running sync.WaitGroup // what renews the session and looks after the lock
}

// A scheme is a way to write locks into the store.
type scheme interface {
	// acquire blocks until the session holds the lock.
	acquire(ctx context.Context, session string) error
	// guard blocks until the session does not hold the lock, or the context ends.
	guard(ctx context.Context, session string)
	// release gives up the lock, and removes from the store what nobody needs then.
	release(ctx context.Context, session string) error
}

// Acquire opens a session and blocks until it holds the lock, the context ends, or something fails. In the latter cases
// the session is destroyed.
func Acquire(ctx context.Context, c Config) (*Held, error) {
	h := &Held{config: c}
	s := store{agent: c.Agent, retries: c.Retries}
	key := path.Join(c.Prefix, lockName)
	behaviour := "release"
	if h.scheme = (mutex{s, key}); c.Limit > 1 {
		h.scheme = semaphore{store: s, prefix: c.Prefix, key: key, limit: c.Limit}
		behaviour = "delete" // of the contender's key
	}
	begun := time.Now()
	id, err := create(ctx, c.Agent, newSession{Name: c.Session, TTL: sessionTTL.String(), Behavior: behaviour})
	if err != nil {
		return nil, fmt.Errorf("failed to create session: %w", err)
	}
	h.session = id
	h.life, h.end = context.WithCancel(context.WithoutCancel(ctx))
	h.running.Go(func() {
		defer h.end()
		keep(h.life, c.Agent, id, begun)
	})
	if err := h.take(ctx); err != nil {
		return nil, errors.Join(err, h.close(ctx))
	}
	h.running.Go(func() {
		defer h.end()
		h.scheme.guard(h.life, id)
	})
	return h, nil
}

// take waits for the lock as long as the caller wants to and the session lives.
func (h *Held) take(ctx context.Context) error {
	attempt, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.life, cancel)()
	err := h.scheme.acquire(attempt, h.session)
	if err != nil && ctx.Err() == nil && h.life.Err() != nil {
		return ErrSession
	}
	return err
}

// Lost is closed when the lock may have been lost, because the session has ended, the key was taken away or the agent
// does not answer, and when Release is called.
func (h *Held) Lost() <-chan struct{} { return h.life.Done() }

// IsLost tells whether Lost is closed.
func (h *Held) IsLost() bool { return h.life.Err() != nil }

// Release gives the lock up and ends the session. It must be called once, for a lost lock as well.
func (h *Held) Release(ctx context.Context) error {
	err := h.scheme.release(ctx, h.session)
	if err != nil {
		err = fmt.Errorf("failed to release lock: %w", err)
	}
	return errors.Join(err, h.close(ctx))
}

// cleanupTime bounds the wait for the end of the session.
const cleanupTime = 5 * time.Second

// close ends what runs and the session. The caller's context may have ended.
func (h *Held) close(ctx context.Context) error {
	h.end()
	h.running.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	return destroy(ctx, h.config.Agent, h.session)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
