package telemetry

import (
	"slices"
	"strings"
	"sync"
)

// Label is one dimension of a series.
type Label struct {
	Name  string
	Value string
}

// identity is what a series is called: a dotted name without the prefix, and labels.
type identity struct {
	name   string
	labels []Label
}

// store holds the series of one kind.
type store[T any] struct {
	make func(identity) *T

	// mu guards the rest.
	mu      sync.RWMutex
	byKey   map[string]*T
	perName map[string]int
	all     []*T
}

// find returns the series of a key (see appendKey), or nil.
func (s *store[T]) find(key []byte) *T {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byKey[string(key)]
}

// get returns the series of an identity and makes it if need be, within the bounds.
func (s *store[T]) get(id identity) *T {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey == nil {
		s.byKey, s.perName = map[string]*T{}, map[string]int{}
	}
	if found := s.byKey[id.key()]; found != nil {
		return found
	}
	id = s.bounded(id)
	key := id.key()
	if found := s.byKey[key]; found != nil {
		return found
	}
	made := s.make(identity{name: strings.Clone(id.name), labels: slices.Clone(id.labels)})
	s.byKey[key] = made
	s.perName[id.name]++
	s.all = append(s.all, made)
	return made
}

// bounded returns the identity that counts for a new one: itself, or that of what overflows.
func (s *store[T]) bounded(id identity) identity {
	if len(s.all) >= seriesInAll && s.perName[id.name] == 0 {
		return identity{name: Overflow}
	}
	if len(id.labels) == 0 || s.perName[id.name] < seriesPerName {
		return id
	}
	labels := slices.Clone(id.labels)
	for i := range labels {
		labels[i].Value = Overflow
	}
	return identity{name: id.name, labels: labels}
}

// list returns all series in the order of their creation. The caller must not change the slice.
func (s *store[T]) list() []*T {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.all[:len(s.all):len(s.all)]
}

func (id identity) key() string {
	key := append([]byte(nil), id.name...)
	for _, l := range id.labels {
		key = appendLabel(key, l.Name, l.Value)
	}
	return string(key)
}

// appendLabel adds a label to a key. Its separators are bytes that no valid UTF-8 text has.
func appendLabel(key []byte, name, value string) []byte {
	key = append(append(key, 0xff), name...)
	return append(append(key, 0xfe), value...)
}
