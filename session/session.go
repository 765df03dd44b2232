// Package session keeps sessions, what they depend on and what they hold: types, tables, commands, queries, and the
// leader's clocks for TTLs and lock delays. It knows that the locks on keys belong to sessions; it knows nothing of what
// clients use them for.
package session

import (
	"encoding/json"
	"iter"
	"strings"
	"time"

	"lictor/kv"
	"lictor/state"
)

//go:generate go tool msgp -o session_gen.go -tests=false -io=false

// A Session ties locks to the life of a node and of checks on it, as clients see it and as it is stored.
type Session struct {
	ID            string
	Name          string
	Node          string
	NodeChecks    CheckIDs
	ServiceChecks []ServiceCheck `msg:"ServiceChecks,allownil"`
	Checks        []string       `json:",omitempty" msg:"Checks,allownil"` // as older clients send them: of the node or of services on it
	LockDelay     time.Duration
	Behavior      string
	TTL           string // as the client sent it; "" is none
	CreateIndex   uint64
	ModifyIndex   uint64
}

// CheckIDs are identifiers of checks. Their JSON is [] if there are none.
type CheckIDs []string

// MarshalJSON writes a list.
func (c CheckIDs) MarshalJSON() ([]byte, error) {
	if c == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]string(c))
}

// A ServiceCheck names a check of a service on the session's node.
type ServiceCheck struct {
	ID        string
	Namespace string
}

// What happens to a session's keys when it ends.
const (
	KeysRelease = "release" // they are unlocked
	KeysDelete  = "delete"
)

// Sessions is the table.
var Sessions = state.NewTable("sessions", func(s *Session) string { return s.ID },
	state.Index[Session]{Name: "node", Keys: state.One(func(s *Session) string { return fold(s.Node) })},
	state.Index[Session]{Name: "check", Keys: (*Session).checkKeys})

// Tables lists the package's tables.
func Tables() []state.AnyTable { return []state.AnyTable{Sessions} }

// fold makes a key of names whose case does not matter.
func fold(names ...string) string {
	for i, n := range names {
		names[i] = strings.ToLower(n)
	}
	return state.Key(names...)
}

// allChecks runs over the identifiers of all checks that the session depends on. One may come more than once.
func (s *Session) allChecks() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, list := range [][]string{s.NodeChecks, s.Checks} {
			for _, id := range list {
				if !yield(id) {
					return
				}
			}
		}
		for _, c := range s.ServiceChecks {
			if !yield(c.ID) {
				return
			}
		}
	}
}

func (s *Session) checkKeys() []string {
	var keys []string
	seen := map[string]bool{}
	for id := range s.allChecks() {
		if k := fold(s.Node, id); !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	return keys
}

// ttl is how long the session lives without being renewed; 0 is for ever.
func (s *Session) ttl() time.Duration {
	d, err := time.ParseDuration(s.TTL)
	if err != nil { // none: Service.Create has looked at it
		return 0
	}
	return d
}

// Find finds a session, or nil.
func Find(tx *state.Tx, id string) *Session {
	if id == "" {
		return nil
	}
	return Sessions.Get(tx, id)
}

// Remove ends a session, if it is there: its keys are unlocked or deleted. It states an Ended.
func Remove(tx *state.Tx, id string) {
	s := Find(tx, id)
	if s == nil {
		return
	}
	keys := kv.HeldBy(tx, s.ID)
	for _, key := range keys {
		if s.Behavior == KeysDelete {
			kv.Remove(tx, key)
		} else {
			kv.Unlock(tx, key)
		}
	}
	Sessions.Delete(tx, s)
	tx.Emit(Ended{ID: s.ID, Keys: keys, LockDelay: s.LockDelay})
}

// Ended is the fact that a session is over. Keys are those that it had locked.
type Ended struct {
	ID        string
	Keys      []string
	LockDelay time.Duration
}
