//go:build soak

package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

const (
	mutexes    = 40
	semaphores = 10
	limit      = 2 // holders of a semaphore
	contenders = 3 // of a mutex; a semaphore has one more
	lockTTL    = "15s"
)

// A contender takes and gives up one lock for ever.
type contender struct {
	*run
	name   string // unique
	lock   string // its key or prefix
	limit  int    // 0 for a mutex
	agent  *agent
	random *rand.Rand
}

// contend takes the lock in turns until the run ends.
func (c *contender) contend(ctx context.Context) {
	for turn := 0; ctx.Err() == nil; turn++ {
		if err := c.turn(ctx, fmt.Sprintf("%s/%d", c.name, turn)); err != nil {
			c.count("turns that failed")
			c.note(fmt.Sprintf("%s: %v", c.name, err))
			sleep(ctx, time.Second) // its agent may be down
		}
		sleep(ctx, c.about(3*time.Second))
	}
}

func (c *contender) about(d time.Duration) time.Duration {
	return d/2 + time.Duration(c.random.Int64N(int64(d)))
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// turn takes the lock, writes under it for a while and gives it up, by its session's death now and then. Proof is the
// value that the lock has while it is ours.
func (c *contender) turn(ctx context.Context, proof string) error {
	acquire, release, err := c.open(proof)
	if err != nil {
		return err
	}
	lost, err := acquire(ctx.Done())
	if err != nil || lost == nil {
		return err
	}
	c.count("turns")
	session, err := c.session(proof)
	if err != nil {
		return errors.Join(err, release())
	}
	end := time.After(c.about(10 * time.Second))
	for held := true; held; {
		switch err := c.write(session); {
		case err == nil:
			c.count("writes")
		case errors.Is(err, errFenced):
			c.count("writes refused")
		default:
			c.count("writes unanswered")
		}
		select {
		case <-ctx.Done():
			held = false
		case <-end:
			held = false
		case <-lost:
			c.count("locks lost")
			_ = c.write(session) // it does not know better
			held = false
		case <-time.After(c.about(2 * time.Second)):
		}
	}
	if c.random.IntN(4) == 0 {
		_, err := c.agent.client.Session().Destroy(session, nil)
		_ = c.write(session) // a holder that has not heard of it
		_ = release()        // which will tell that all is over
		return err
	}
	return release()
}

// open prepares an attempt. A third of the mutexes have ephemeral sessions, some have no lock delay.
func (c *contender) open(proof string) (acquire func(<-chan struct{}) (<-chan struct{}, error), release func() error, err error) {
	if c.limit > 0 {
		s, err := c.agent.client.SemaphoreOpts(&api.SemaphoreOptions{Prefix: c.lock, Limit: c.limit, Value: []byte(proof),
			SessionTTL: lockTTL, MonitorRetries: c.random.IntN(5), MonitorRetryTime: time.Second})
		if err != nil {
			return nil, nil, err
		}
		return s.Acquire, s.Release, nil
	}
	se := &api.SessionEntry{Name: proof, TTL: lockTTL, LockDelay: time.Duration(1+c.random.IntN(3)) * time.Second}
	if c.random.IntN(3) == 0 {
		se.Behavior = api.SessionBehaviorDelete
	}
	l, err := c.agent.client.LockOpts(&api.LockOptions{Key: c.lock, Value: []byte(proof), SessionOpts: se, SessionTTL: lockTTL,
		MonitorRetries: c.random.IntN(5), MonitorRetryTime: time.Second})
	if err != nil {
		return nil, nil, err
	}
	return l.Lock, l.Unlock, nil
}

var errNotOurs = errors.New("the lock was lost at once")

// session finds the session by which we hold the lock.
func (c *contender) session(proof string) (string, error) {
	pairs, _, err := c.agent.client.KV().List(c.lock, &api.QueryOptions{RequireConsistent: true})
	if err != nil {
		return "", err
	}
	for _, p := range pairs {
		if string(p.Value) == proof && p.Session != "" {
			return p.Session, nil
		}
	}
	return "", errNotOurs
}

// errFenced tells that a write was refused because its session does not hold the lock.
var errFenced = errors.New("fenced")

// write writes something new to the register of the lock if the session holds it, and notes what the lock was like at that moment.
func (c *contender) write(session string) error {
	held, state := c.lock, c.lock
	if c.limit > 0 {
		held, state = c.lock+"/"+session, c.lock+"/"+api.DefaultSemaphoreKey
	}
	w := write{Lock: c.lock, Session: session, Limit: c.limit, Call: c.since()}
	ok, answer, _, err := c.agent.client.Txn().Txn(api.TxnOps{
		{KV: &api.KVTxnOp{Verb: api.KVCheckSession, Key: held, Session: session}},
		{KV: &api.KVTxnOp{Verb: api.KVGet, Key: state}},
		{KV: &api.KVTxnOp{Verb: api.KVSet, Key: "register/" + c.lock, Value: []byte(c.name + "@" + w.Call.String())}},
	}, nil)
	w.Return = c.since()
	switch {
	case err != nil:
		return err
	case !ok && len(answer.Errors) > 0 && strings.Contains(answer.Errors[0].What, "session"):
		return errFenced
	case !ok:
		return fmt.Errorf("%s: %v", c.name, answer.Errors[0].What)
	case len(answer.Results) != 3:
		c.fault(fmt.Sprintf("%s: a transaction answered %d results", c.lock, len(answer.Results)))
		return nil
	}
	lock := answer.Results[1].KV
	w.Index, w.Create, w.Locks = answer.Results[2].KV.ModifyIndex, lock.CreateIndex, lock.LockIndex
	if c.limit > 0 {
		var of struct{ Holders map[string]bool }
		if err := json.Unmarshal(lock.Value, &of); err != nil {
			return err
		}
		w.Holders = slices.Sorted(maps.Keys(of.Holders))
	} else if lock.Session != session {
		c.fault(fmt.Sprintf("%s: %s was checked, and %s held it", c.lock, session, lock.Session))
	}
	c.wrote(w)
	return nil
}
