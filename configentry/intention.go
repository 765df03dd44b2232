package configentry

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"lictor/state"
)

// An Intention is one source of a service-intentions entry with its destination, as clients of intentions see it. One with
// an ID was made by clients that know intentions but no entries.
type Intention struct {
	ID              string `json:",omitempty"`
	Description     string `json:",omitempty"`
	SourceNS        string
	SourceName      string
	SourcePeer      string `json:",omitempty"`
	DestinationNS   string
	DestinationName string
	SourceType      string
	Action          string              `json:",omitempty"`
	Permissions     []*PermissionToCall `json:",omitempty"`
	Meta            map[string]string   `json:",omitempty"`
	Precedence      int
	CreatedAt       *time.Time `json:",omitempty"`
	UpdatedAt       *time.Time `json:",omitempty"`
	Hash            []byte     `json:",omitempty"`
	CreateIndex     uint64
	ModifyIndex     uint64
}

// intention is a source of an entry as an intention.
func (e *Entry) intention(s *Source) *Intention {
	i := &Intention{
		ID: s.LegacyID, Description: s.Description, SourceNS: defaultName, SourceName: s.Name, SourcePeer: s.Peer,
		DestinationNS: defaultName, DestinationName: e.Name, SourceType: s.Type, Action: s.Action, Permissions: s.Permissions,
		Precedence: s.Precedence, CreateIndex: e.CreateIndex, ModifyIndex: e.ModifyIndex,
	}
	if s.LegacyID != "" {
		i.Meta, i.CreatedAt, i.UpdatedAt = s.LegacyMeta, s.LegacyCreateTime, s.LegacyUpdateTime
		text, _ := json.Marshal(s) // of text, numbers and maps of text
		sum := sha256.Sum256(append(text, e.Name...))
		i.Hash = sum[:]
	}
	return i
}

// source is an intention as a source.
func (i *Intention) source() *Source {
	return &Source{Name: i.SourceName, Peer: i.SourcePeer, Action: i.Action, Permissions: i.Permissions, Type: i.SourceType, Description: i.Description}
}

// String tells what an intention does, in Consul's words.
func (i *Intention) String() string {
	what := strings.ToUpper(i.Action)
	if len(i.Permissions) > 0 {
		what = fmt.Sprintf("%d PERMISSIONS", len(i.Permissions))
	}
	id := ""
	if i.ID != "" {
		id = "ID: " + i.ID + ", "
	}
	return fmt.Sprintf("%s default/%s => default/%s (%sPrecedence: %d)", what, i.SourceName, i.DestinationName, id, i.Precedence)
}

// earlier orders intentions as they are looked at.
func earlier(a, b *Intention) int {
	return cmp.Or(cmp.Compare(b.Precedence, a.Precedence), cmp.Compare(a.SourceName, b.SourceName),
		cmp.Compare(a.SourcePeer, b.SourcePeer), cmp.Compare(a.DestinationName, b.DestinationName))
}

// intentionsOf lists those of one entry; there need not be one.
func intentionsOf(e *Entry) ([]*Intention, error) {
	if e == nil {
		return nil, nil
	}
	c, err := e.Content()
	if err != nil {
		return nil, err
	}
	var all []*Intention
	for _, s := range c.(*Intentions).Sources {
		all = append(all, e.intention(s))
	}
	return all, nil
}

// toward lists the intentions that speak of calls to a service, in the order in which they are looked at.
func toward(tx *state.Tx, service string) ([]*Intention, error) {
	named, err := intentionsOf(Find(tx, ServiceIntentions, service))
	if err != nil {
		return nil, err
	}
	if service != wildcard {
		wild, err := intentionsOf(Find(tx, ServiceIntentions, wildcard))
		if err != nil {
			return nil, err
		}
		named = append(named, wild...)
	}
	slices.SortFunc(named, earlier)
	return named, nil
}

// from lists the intentions that speak of calls of a service.
func from(tx *state.Tx, service string) ([]*Intention, error) {
	return collect(tx, func(i *Intention) bool {
		return i.SourcePeer == "" && (i.SourceName == wildcard || i.SourceName == service)
	})
}

// collect lists those of all intentions that keep wants, in order.
func collect(tx *state.Tx, keep func(*Intention) bool) ([]*Intention, error) {
	var all []*Intention
	for e := range Entries.Prefix(tx, "id", state.Key(ServiceIntentions)) {
		some, err := intentionsOf(e)
		if err != nil {
			return nil, err
		}
		for _, i := range some {
			if keep(i) {
				all = append(all, i)
			}
		}
	}
	slices.SortFunc(all, earlier)
	return all, nil
}

// byID finds the entry with the intention of an id, and its place in it; nil if there is none.
func byID(tx *state.Tx, id string) (*Entry, int, error) {
	for e := range Entries.Prefix(tx, "id", state.Key(ServiceIntentions)) {
		if !strings.Contains(e.Text, id) { // which saves to read it
			continue
		}
		all, err := intentionsOf(e)
		if err != nil {
			return nil, 0, err
		}
		if at := slices.IndexFunc(all, func(i *Intention) bool { return i.ID == id }); at >= 0 {
			return e, at, nil
		}
	}
	return nil, 0, nil
}

// exact finds the intention between two services; nil if there is none.
func exact(tx *state.Tx, source, peer, destination string) (*Intention, error) {
	all, err := intentionsOf(Find(tx, ServiceIntentions, destination))
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		if i.SourceName == source && i.SourcePeer == peer {
			return i, nil
		}
	}
	return nil, nil
}

// decide tells whether one service may call another. Permissions are about requests, of which nothing is known here: they
// allow nothing.
func decide(tx *state.Tx, source, destination string, otherwise bool) (Verdict, error) {
	all, err := toward(tx, destination)
	if err != nil {
		return Verdict{}, err
	}
	for _, i := range all {
		if i.SourcePeer != "" || i.SourceName != wildcard && i.SourceName != source {
			continue
		}
		if len(i.Permissions) > 0 {
			return Verdict{false, "Matched L7 intention: " + i.String()}, nil
		}
		return Verdict{i.Action == Allow, "Matched L4 intention: " + i.String()}, nil
	}
	return Verdict{otherwise, "Default behavior configured by ACLs"}, nil
}
