package kv

import (
	"encoding/json"
	"strings"

	"lictor/acl"
	"lictor/rpc"
	"lictor/state"
)

//go:generate go tool msgp -o queries_gen.go -tests=false -io=false

// The queries. Their answers hold what the token may read, in the order of the keys.
var (
	GetQuery  = rpc.Query[Get, []*Entry]{Name: "KV.Get"}
	ListQuery = rpc.Query[List, Tree]{Name: "KV.List"}
	KeysQuery = rpc.Query[Keys, KeyList]{Name: "KV.Keys"}
)

// Get asks for one key; the answer has one entry or none.
type Get struct{ Key string }

// List asks for all entries whose key begins with Prefix.
type List struct{ Prefix string }

// Keys asks for all keys that begin with Prefix, cut after the first Separator behind it, if there is one.
type Keys struct{ Prefix, Separator string }

// A Tree is entries below a prefix. Its JSON is the entries alone.
type Tree struct {
	Entries  []*Entry `msg:"Entries,allownil"`
	Filtered bool     // there are others that the token may not read
}

// MarshalJSON writes the entries.
func (t Tree) MarshalJSON() ([]byte, error) { return json.Marshal(t.Entries) }

// A KeyList is keys below a prefix: nil if there are none, and empty if none of them may be read. Its JSON is the keys alone.
type KeyList struct {
	Keys     []string `msg:"Keys,allownil"`
	Filtered bool     // there are others that the token may not read
}

// MarshalJSON writes the keys.
func (l KeyList) MarshalJSON() ([]byte, error) { return json.Marshal(l.Keys) }

// mayList tells whether a token may read recursively at all.
func mayList(az acl.Authorizer, prefix string) error {
	return acl.Require(az, acl.Key, prefix, acl.List)
}

// Get answers GetQuery.
func (s *Service) Get(tx *state.Tx, az acl.Authorizer, q *Get) ([]*Entry, uint64, error) {
	if err := acl.Require(az, acl.Key, q.Key, acl.Read); err != nil {
		return nil, 0, err
	}
	if e := Entries.Get(tx, q.Key); e != nil {
		return []*Entry{e}, e.ModifyIndex, nil
	}
	return nil, tx.Unwatched().Changed(Entries.Name(), Tombstones.Name()), nil
}

// List answers ListQuery.
func (s *Service) List(tx *state.Tx, az acl.Authorizer, q *List) (Tree, uint64, error) {
	var found Tree
	if err := mayList(az, q.Prefix); err != nil {
		return found, 0, err
	}
	index := s.tree(tx, q.Prefix, func(e *Entry) {
		if az.Allow(acl.Key, e.Key, acl.Read) {
			found.Entries = append(found.Entries, e)
		} else {
			found.Filtered = true
		}
	})
	return found, index, nil
}

// Keys answers KeysQuery.
func (s *Service) Keys(tx *state.Tx, az acl.Authorizer, q *Keys) (KeyList, uint64, error) {
	if err := mayList(az, q.Prefix); err != nil {
		return KeyList{}, 0, err
	}
	var keys []string
	filtered := false
	index := s.tree(tx, q.Prefix, func(e *Entry) {
		if keys == nil {
			keys = []string{}
		}
		if !az.Allow(acl.Key, e.Key, acl.Read) {
			filtered = true
			return
		}
		k := e.Key
		if i := strings.Index(k[len(q.Prefix):], q.Separator); q.Separator != "" && i >= 0 {
			k = k[:len(q.Prefix)+i+len(q.Separator)]
		}
		if n := len(keys); n == 0 || keys[n-1] != k {
			keys = append(keys, k)
		}
	})
	return KeyList{keys, filtered}, index, nil
}

// tree visits the entries below a prefix and returns the index at which anything there has last changed.
func (s *Service) tree(tx *state.Tx, prefix string, visit func(*Entry)) uint64 {
	var index uint64
	for e := range Entries.Prefix(tx, "id", prefix) {
		index = max(index, e.ModifyIndex)
		visit(e)
	}
	quiet := tx.Unwatched() // a deletion shows in the entries, too
	for t := range Tombstones.Prefix(quiet, "id", prefix) {
		index = max(index, t.Index)
	}
	if index == 0 {
		index = quiet.Changed(Entries.Name(), Tombstones.Name())
	}
	return index
}
