// Package event is the users' own events: what one looks like, who is meant by it, and what this agent has received. It
// knows nothing of how events travel, nor where services are registered.
package event

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

//go:generate go tool msgp -o event_gen.go -tests=false -io=false

// An Event is a user's event, as clients see it and as it travels. Names are short on the way, where room is scarce.
type Event struct {
	ID            string `msg:"i"` // a UUID
	Name          string `msg:"n"`
	Payload       []byte `msg:"p,omitempty"`
	NodeFilter    string `msg:"f,omitempty"` // a regular expression of nodes; "" means all
	ServiceFilter string `msg:"s,omitempty"` // a regular expression of services
	TagFilter     string `msg:"t,omitempty"` // a regular expression of tags of these services
	Version       int    `msg:"v"`
	LTime         uint64 `msg:"-"` // Lamport time, given by the pool on arrival
}

// version is that of the form of events.
const version = 1

// Texts that API clients see.
const (
	textTagAlone  = "Cannot provide tag filter without service filter"
	textFilter    = "Invalid %s filter: %w"
	textBroadcast = "error broadcasting event: %w"
)

// Exec is the name of the events of lictor exec. They are no users' events, and lists do not show them.
const Exec = "_rexec"

// prefix tells, in gossip, our users' events from others.
const prefix = "event:"

// Index is what a blocking list of events waits for after this one: Consul's clients derive it from the ID.
func (e *Event) Index() uint64 {
	id, err := parseID(e.ID)
	if err != nil {
		return 1
	}
	return max(1, binary.BigEndian.Uint64(id[:8])^binary.BigEndian.Uint64(id[8:]))
}

func parseID(id string) ([16]byte, error) {
	var b [16]byte
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
		return b, fmt.Errorf("%q is not a UUID", id)
	}
	_, err := hex.Decode(b[:], []byte(strings.ReplaceAll(id, "-", "")))
	return b, err
}

// filters are an event's filters, ready for use; nil lets everything pass.
type filters struct{ node, service, tag *regexp.Regexp }

func (e *Event) filters() (filters, error) {
	var f filters
	for _, x := range []struct {
		name, expression string
		into             **regexp.Regexp
	}{{"node", e.NodeFilter, &f.node}, {"service", e.ServiceFilter, &f.service}, {"tag", e.TagFilter, &f.tag}} {
		if x.expression == "" {
			continue
		}
		compiled, err := regexp.Compile(x.expression)
		if err != nil {
			return f, fmt.Errorf(textFilter, x.name, err)
		}
		*x.into = compiled
	}
	return f, nil
}

// A Target is an agent that receives events. Services runs over the names and tags of what is registered there.
type Target struct {
	Node     string
	Services func(yield func(name string, tags []string) bool)
}

// meant tells whether an event with these filters is for the target.
func (f filters) meant(t Target) bool {
	if f.node != nil && !f.node.MatchString(t.Node) {
		return false
	}
	if f.service == nil {
		return true
	}
	for name, tags := range t.Services {
		if f.service.MatchString(name) && f.tagged(tags) {
			return true
		}
	}
	return false
}

func (f filters) tagged(tags []string) bool {
	if f.tag == nil {
		return true
	}
	for _, t := range tags {
		if f.tag.MatchString(t) {
			return true
		}
	}
	return false
}
