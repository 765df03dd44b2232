package txn

import (
	"fmt"

	"lictor/acl"
	"lictor/kv"
	"lictor/session"
)

// kv carries out an operation on keys, whose verb is known.
func (r *run) kv(op *KVOp) error {
	switch op.Verb {
	case Set:
		return r.wrote(kv.Set(r.tx, op.entry()))
	case CAS:
		return r.swap(op)
	case Lock:
		return r.lock(op)
	case Unlock:
		return r.unlock(op)
	case Delete:
		kv.Remove(r.tx, op.Key)
	case DeleteTree:
		kv.RemoveTree(r.tx, op.Key)
	case DeleteCAS:
		if old := kv.Entries.Get(r.tx, op.Key); old != nil && (op.Index == 0 || old.ModifyIndex != op.Index) {
			return fmt.Errorf("failed to delete key %q, index is stale", op.Key)
		}
		kv.Remove(r.tx, op.Key)
	case GetTree:
		r.tree(op.Key)
	default:
		return r.look(op, kv.Entries.Get(r.tx, op.Key))
	}
	return nil
}

func (op *KVOp) entry() *kv.Entry {
	return &kv.Entry{Key: op.Key, Flags: op.Flags, Value: op.Value, TTL: op.TTL}
}

// wrote tells of an entry that was written or compared, without its value.
func (r *run) wrote(e *kv.Entry) error {
	told := *e
	told.Value = nil
	return r.tell(&told)
}

func (r *run) tell(e *kv.Entry) error {
	r.results = append(r.results, Result{KV: e})
	return nil
}

func (r *run) swap(op *KVOp) error {
	var at uint64
	if old := kv.Entries.Get(r.tx, op.Key); old != nil {
		at = old.ModifyIndex
	}
	if at != op.Index {
		return fmt.Errorf("failed to set key %q, index is stale", op.Key)
	}
	return r.wrote(kv.Set(r.tx, op.entry()))
}

func (r *run) lock(op *KVOp) error {
	if r.lost[op.Key] {
		return errDelayed(op.Key)
	}
	e := op.entry()
	e.Session = op.Session
	outcome, err := session.Acquire(r.tx, e, r.seen)
	switch {
	case err != nil:
		return err
	case outcome == session.Again:
		r.again = true
		return nil
	case outcome == session.Refused:
		return fmt.Errorf("failed to lock key %q, lock is already held", op.Key)
	}
	return r.wrote(e)
}

// errDelayed tells that a key may not be locked yet.
func errDelayed(key string) error {
	return fmt.Errorf("failed to lock key %q, its lock-delay is not over", key)
}

func (r *run) unlock(op *KVOp) error {
	if op.Session == "" {
		return session.ErrMissing
	}
	e := op.entry()
	e.Session = op.Session
	if !kv.Release(r.tx, e) {
		return fmt.Errorf("failed to unlock key %q, lock isn't held, or is held by another session", op.Key)
	}
	return r.wrote(e)
}

// tree tells of all keys below a prefix that may be seen.
func (r *run) tree(prefix string) {
	for e := range kv.Entries.Prefix(r.tx, "id", prefix) {
		if !r.az.Allow(acl.Key, e.Key, acl.Read) {
			r.filtered = true
			continue
		}
		r.results = append(r.results, Result{KV: e})
	}
}

// look carries out what only looks at the entry of one key, which is nil if there is none.
func (r *run) look(op *KVOp, e *kv.Entry) error {
	switch op.Verb {
	case GetOrEmpty:
		if e == nil {
			e = &kv.Entry{Key: op.Key}
		}
		return r.tell(e)
	case CheckNotExists:
		if e != nil {
			return fmt.Errorf("key %q exists", op.Key)
		}
		return nil
	case Get:
		if e == nil {
			return fmt.Errorf("key %q doesn't exist", op.Key)
		}
		return r.tell(e)
	case CheckIndex:
		if e == nil {
			return fmt.Errorf("failed to check index, key %q doesn't exist", op.Key)
		}
		if e.ModifyIndex != op.Index {
			return fmt.Errorf("failed index check for key %q, current modify index %d != %d", op.Key, e.ModifyIndex, op.Index)
		}
	case CheckSession:
		if e == nil {
			return fmt.Errorf("failed to check session, key %q doesn't exist", op.Key)
		}
		if e.Session != op.Session {
			return fmt.Errorf("failed session check for key %q, current session %q != %q", op.Key, e.Session, op.Session)
		}
	}
	return r.wrote(e)
}
