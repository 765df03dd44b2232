package lock

import (
	"context"
	"fmt"
	"time"
)

// A mutex is a key that one session at a time holds.
type mutex struct {
	store
	key string
}

// delayRetry is the wait while the key is free and cannot be acquired all the same: the lock delay of a session that has
// died with it is not over.
const delayRetry = time.Second

// look returns the key as it is, which may be the zero pair.
func (m mutex) look(ctx context.Context, consistent bool, index uint64) (pair, uint64, error) {
	all, next, err := m.read(ctx, question{key: m.key, consistent: consistent, index: index})
	if err != nil || len(all) == 0 {
		return pair{}, next, err
	}
	return all[0], next, nil
}

func (m mutex) acquire(ctx context.Context, session string) error {
	var index uint64
	for {
		p, next, err := m.look(ctx, false, index)
		switch {
		case err != nil:
			return err
		case p.Key != "" && p.Flags != mutexFlags:
			return ErrConflict
		case p.Session == session:
			return nil
		case p.Session != "":
			if index, err = block(ctx, next); err != nil {
				return err
			}
			continue
		}
		took, err := m.write(ctx, change{key: m.key, verb: "acquire", value: session, flags: mutexFlags})
		if err != nil {
			return fmt.Errorf("failed to acquire lock: %w", err)
		}
		if took {
			return nil
		}
		if index, err = m.missed(ctx); err != nil {
			return err
		}
	}
}

// missed finds out why the key could not be acquired, and returns the index to block on if another session has it.
func (m mutex) missed(ctx context.Context) (uint64, error) {
	p, next, err := m.look(ctx, false, 0)
	if err != nil {
		return 0, err
	}
	if p.Session != "" {
		return next, nil
	}
	return 0, pause(ctx, delayRetry)
}

func (m mutex) guard(ctx context.Context, session string) {
	var index uint64
	for {
		p, next, err := m.look(ctx, true, index)
		if err != nil || p.Session != session {
			return
		}
		if index, err = block(ctx, next); err != nil {
			return
		}
	}
}

func (m mutex) release(ctx context.Context, session string) error {
	if _, err := m.write(ctx, change{key: m.key, verb: "release", value: session, flags: mutexFlags}); err != nil {
		return err
	}
	p, _, err := m.look(ctx, false, 0)
	if err != nil || p.Key == "" || p.Session != "" || p.Flags != mutexFlags {
		return err
	}
	return m.remove(ctx, m.key, p.ModifyIndex)
}
