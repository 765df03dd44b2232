package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
)

// A semaphore is a key that lists the sessions which hold it, changed only by check-and-set, and beside it a key for
// each session that contends, held by that session: so all see which holders have died.
type semaphore struct {
	store
	prefix string
	key    string
	limit  int
}

// roster is the value of a semaphore's key, in the form that all of Consul's clients know.
type roster struct {
	Limit   int
	Holders map[string]bool
}

// look returns who holds the semaphore and lives, and the key's ModifyIndex, 0 if there is none.
func (s semaphore) look(ctx context.Context, consistent bool, index uint64) (r roster, modified, next uint64, err error) {
	all, next, err := s.read(ctx, question{key: s.folder(), recurse: true, consistent: consistent, index: index})
	if err != nil {
		return roster{}, 0, 0, err
	}
	r = roster{Limit: s.limit}
	alive := map[string]bool{}
	for _, p := range all {
		if p.Session != "" {
			alive[p.Session] = true
		}
		if p.Key != s.key {
			continue
		}
		if p.Flags != semaphoreFlags {
			return roster{}, 0, 0, ErrConflict
		}
		modified = p.ModifyIndex
		if len(p.Value) > 0 {
			if err := json.Unmarshal(p.Value, &r); err != nil {
				return roster{}, 0, 0, fmt.Errorf("lock decoding failed: %w", err)
			}
		}
	}
	for holder := range r.Holders {
		if !alive[holder] {
			delete(r.Holders, holder)
		}
	}
	if r.Holders == nil {
		r.Holders = map[string]bool{}
	}
	return r, modified, next, nil
}

func (s semaphore) folder() string { return path.Clean(s.prefix) + "/" }

// contender is the key of a session.
func (s semaphore) contender(session string) string { return path.Join(s.prefix, session) }

func (s semaphore) acquire(ctx context.Context, session string) error {
	made, err := s.write(ctx, change{key: s.contender(session), verb: "acquire", value: session, flags: semaphoreFlags})
	if err == nil && !made {
		err = errors.New("the key is locked")
	}
	if err != nil {
		return fmt.Errorf("failed to make contender entry: %w", err)
	}
	var index uint64
	for {
		r, modified, next, err := s.look(ctx, false, index)
		switch {
		case err != nil:
			return err
		case r.Limit != s.limit:
			return fmt.Errorf("%w: %d holders, and not %d", ErrLimit, r.Limit, s.limit)
		case r.Holders[session]:
			return nil
		case len(r.Holders) >= r.Limit:
			if index, err = block(ctx, next); err != nil {
				return err
			}
			continue
		}
		r.Holders[session] = true
		if took, err := s.swap(ctx, r, modified); took || err != nil {
			return err
		}
		index = 0
	}
}

// swap writes the roster if nobody else has meanwhile.
func (s semaphore) swap(ctx context.Context, r roster, modified uint64) (bool, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return false, err
	}
	took, err := s.write(ctx, change{key: s.key, verb: "cas", value: fmt.Sprint(modified), flags: semaphoreFlags, body: body})
	if err != nil {
		return false, fmt.Errorf("failed to update lock: %w", err)
	}
	return took, nil
}

func (s semaphore) guard(ctx context.Context, session string) {
	var index uint64
	for {
		r, _, next, err := s.look(ctx, true, index)
		if err != nil || !r.Holders[session] {
			return
		}
		if index, err = block(ctx, next); err != nil {
			return
		}
	}
}

// release takes the session off the roster, and removes the roster with its last name.
func (s semaphore) release(ctx context.Context, session string) error {
	for done := false; !done; {
		r, modified, _, err := s.look(ctx, false, 0)
		if err != nil {
			return err
		}
		if !r.Holders[session] {
			break
		}
		delete(r.Holders, session)
		if done, err = s.swap(ctx, r, modified); err != nil {
			return err
		}
	}
	if err := s.remove(ctx, s.contender(session), 0); err != nil {
		return err
	}
	r, modified, _, err := s.look(ctx, false, 0)
	if err != nil || modified == 0 || len(r.Holders) > 0 {
		return err
	}
	return s.remove(ctx, s.key, modified)
}
