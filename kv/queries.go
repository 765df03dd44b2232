package kv

import (
	"strings"

	"lictor/acl"
	"lictor/rpc"
	"lictor/state"
)

//go:generate go tool msgp -o queries_gen.go -tests=false -io=false

// The queries. Their answers hold what the token may read, in the order of the keys.
var (
	GetQuery  = rpc.Query[Get, []*Entry]{Name: "KV.Get"}
	ListQuery = rpc.Query[List, []*Entry]{Name: "KV.List"}
	KeysQuery = rpc.Query[Keys, []string]{Name: "KV.Keys"}
)

// Get asks for one key; the answer has one entry or none.
type Get struct{ Key string }

// List asks for all entries whose key begins with Prefix.
type List struct{ Prefix string }

// Keys asks for all keys that begin with Prefix, cut after the first Separator behind it, if there is one.
type Keys struct{ Prefix, Separator string }

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
func (s *Service) List(tx *state.Tx, az acl.Authorizer, q *List) ([]*Entry, uint64, error) {
	var found []*Entry
	index := s.tree(tx, q.Prefix, func(e *Entry) {
		if az.Allow(acl.Key, e.Key, acl.Read) {
			found = append(found, e)
		}
	})
	return found, index, nil
}

// Keys answers KeysQuery. The answer is nil if no key begins with the prefix, and empty if none of them may be read.
func (s *Service) Keys(tx *state.Tx, az acl.Authorizer, q *Keys) ([]string, uint64, error) {
	var keys []string
	index := s.tree(tx, q.Prefix, func(e *Entry) {
		if keys == nil {
			keys = []string{}
		}
		if !az.Allow(acl.Key, e.Key, acl.Read) {
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
	return keys, index, nil
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
