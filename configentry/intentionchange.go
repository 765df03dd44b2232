package configentry

import (
	"encoding/json"
	"slices"
	"time"

	"lictor/state"
)

//msgp:timezone utc
//go:generate go tool msgp -o intentionchange_gen.go -tests=false -io=false

// How an intention is written.
const (
	CreateIntention = "create" // one with an ID, which must be new
	UpdateIntention = "update" // the one of an ID
	UpsertIntention = "upsert" // the one between two services, which loses its ID if it has one
	DeleteIntention = "delete" // the one of an ID, or without an ID that between two services
)

// A ChangeIntention changes one source of an entry of kind service-intentions, and makes or removes the entry if need be.
type ChangeIntention struct {
	Verb        string
	ID          string
	Destination string
	Source      string // JSON of a Source; to delete, only its Name and Peer matter
	Now         time.Time
}

// Apply changes the entry. It fails, and has changed nothing, if the entry would not be fit to be stored.
func (c *ChangeIntention) Apply(tx *state.Tx) (any, error) {
	var source Source
	if err := json.Unmarshal([]byte(c.Source), &source); err != nil {
		return nil, err
	}
	e, at, err := c.find(tx, &source)
	if err != nil {
		return nil, err
	}
	if e == nil {
		if c.Verb == DeleteIntention {
			return true, nil
		}
		e = &Entry{Kind: ServiceIntentions, Name: c.Destination, Text: "{}"}
	}
	content, err := e.Content()
	if err != nil {
		return nil, err
	}
	in := content.(*Intentions)
	switch {
	case c.Verb == DeleteIntention && at < 0:
		return true, nil
	case c.Verb == DeleteIntention && len(in.Sources) == 1:
		return (&Delete{Kind: e.Kind, Name: e.Name}).Apply(tx)
	case c.Verb == DeleteIntention:
		in.Sources = slices.Delete(in.Sources, at, at+1)
	case c.Verb == UpsertIntention:
		source.LegacyID, source.LegacyMeta, source.LegacyCreateTime, source.LegacyUpdateTime = "", nil, nil, nil
		in.place(at, &source)
	default:
		source.LegacyID, source.LegacyCreateTime, source.LegacyUpdateTime = c.ID, &c.Now, &c.Now
		if at >= 0 {
			source.LegacyCreateTime = in.Sources[at].LegacyCreateTime
		}
		in.place(at, &source)
	}
	if c.ID == "" {
		in.forget()
	}
	if err := in.settle(e.Name); err != nil {
		return nil, err
	}
	changed := Entry{Kind: e.Kind, Name: e.Name}
	if err := changed.seal(in); err != nil {
		return nil, err
	}
	return (&Put{Entry: changed}).Apply(tx)
}

// find finds the entry to change and the place of the source in it, -1 if it has none.
func (c *ChangeIntention) find(tx *state.Tx, source *Source) (*Entry, int, error) {
	if c.Verb == UpdateIntention || c.Verb == DeleteIntention && c.ID != "" {
		e, at, err := byID(tx, c.ID)
		switch {
		case err != nil:
			return nil, 0, err
		case e == nil && c.Verb == DeleteIntention:
			return nil, 0, refuse("Cannot delete non-existent intention: '%s'", c.ID)
		case e == nil:
			return nil, 0, refuse("Cannot modify non-existent intention: '%s'", c.ID)
		}
		return e, at, nil
	}
	e := Find(tx, ServiceIntentions, c.Destination)
	all, err := intentionsOf(e)
	if err != nil {
		return nil, 0, err
	}
	if c.Verb == CreateIntention {
		for _, i := range all {
			if i.ID == "" {
				return nil, 0, refuse("cannot use legacy intention API to edit intentions with a destination of %q after editing them via a service-intentions config entry", e.Name)
			}
		}
		return e, -1, nil
	}
	return e, slices.IndexFunc(all, func(i *Intention) bool { return i.SourceName == source.Name && i.SourcePeer == source.Peer }), nil
}

// place puts a source in the place of another, or with -1 behind the others.
func (t *Intentions) place(at int, s *Source) {
	if at < 0 {
		t.Sources = append(t.Sources, s)
		return
	}
	t.Sources[at] = s
}

// forget makes sources as they are where clients know entries: without ids, and what goes with them.
func (t *Intentions) forget() {
	for _, s := range t.Sources {
		s.LegacyID, s.LegacyMeta, s.LegacyCreateTime, s.LegacyUpdateTime = "", nil, nil, nil
	}
}
