package session

import (
	"lictor/catalog"
	"lictor/kv"
	"lictor/state"
)

//go:generate go tool msgp -o commands_gen.go -tests=false -io=false

// A Create makes a session, whose ID and other fields are settled before.
type Create struct {
	Session Session
}

// Apply answers nothing. It fails, and has changed nothing, if the session's node or one of its checks does not exist,
// or a check is critical.
func (c *Create) Apply(tx *state.Tx) (any, error) {
	s := c.Session
	if !catalog.HasNode(tx, s.Node) {
		return nil, errMissingNode
	}
	for id := range s.allChecks() {
		switch check := catalog.FindCheck(tx, s.Node, id); {
		case check == nil:
			return nil, refuse("Missing check '%s' registration", id)
		case check.Status == catalog.Critical:
			return nil, refuse("Check '%s' is in %s state", id, check.Status)
		}
	}
	s.CreateIndex, s.ModifyIndex = tx.Index(), tx.Index()
	Sessions.Insert(tx, &s)
	return nil, nil
}

// A Destroy ends sessions. Those that are not there have ended already.
type Destroy struct {
	IDs []string `msg:"IDs,allownil"`
}

// Apply answers nothing.
func (d *Destroy) Apply(tx *state.Tx) (any, error) {
	for _, id := range d.IDs {
		Remove(tx, id)
	}
	return nil, nil
}

// A Lock acquires the lock on a key for a session, or with Release gives it up; both write the key as well.
type Lock struct {
	Key     string
	Flags   uint64
	Value   []byte `msg:"Value,allownil"`
	Session string
	Release bool
	TTL     string `msg:"TTL,omitempty"` // of the key; "" for ever
	Seen    uint64 // the log index up to which lock delays have been looked at; see Acquire
}

// Apply answers an Outcome. It fails, and has changed nothing, if there is no such session.
func (l *Lock) Apply(tx *state.Tx) (any, error) {
	e := &kv.Entry{Key: l.Key, Flags: l.Flags, Value: l.Value, Session: l.Session, TTL: l.TTL}
	if !l.Release {
		return Acquire(tx, e, l.Seen)
	}
	if l.Session == "" {
		return Refused, ErrMissing
	}
	if kv.Release(tx, e) {
		return Done, nil
	}
	return Refused, nil
}

// An Outcome is how an attempt to lock or unlock a key went.
type Outcome uint8

// The outcomes.
const (
	Refused Outcome = iota // another session holds the lock, or for a release: this one does not
	Done
	Again // the key has changed since lock delays were looked at: look again
)

// Acquire locks the key of e for e.Session and writes it. Lock delays are known to the leader alone, which looks at
// them before the command is in the log. Seen is the log index of the state at that moment: if the key is free but has
// changed since then, a delay may have begun, and nothing is done but to answer Again. It fails if there is no such
// session.
func Acquire(tx *state.Tx, e *kv.Entry, seen uint64) (Outcome, error) {
	if e.Session == "" {
		return Refused, ErrMissing
	}
	if Find(tx, e.Session) == nil {
		return Refused, refuse("invalid session %q", e.Session)
	}
	if at := kv.ChangedAt(tx, e.Key); at > seen && at < tx.Index() && Holder(tx, e.Key) == "" {
		return Again, nil
	}
	if kv.Acquire(tx, e) {
		return Done, nil
	}
	return Refused, nil
}

// Holder is the session that has locked a key; "" if none has.
func Holder(tx *state.Tx, key string) string {
	if e := kv.Entries.Get(tx, key); e != nil {
		return e.Session
	}
	return ""
}
