package configentry

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"lictor/acl"
	"lictor/catalog"
	"lictor/rpc"
	"lictor/state"
)

//go:generate go tool msgp -o intentionservice_gen.go -tests=false -io=false

// What is asked about intentions.
var (
	// ChangeIntentionMethod writes or deletes an intention.
	ChangeIntentionMethod = rpc.Method[ChangeIntention, bool]{Name: "Intention.Apply"}
	ListIntentionsQuery   = rpc.Query[ListIntentions, Document]{Name: "Intention.List"}
	OneIntentionQuery     = rpc.Query[OneIntention, Document]{Name: "Intention.Get"}
	MatchQuery            = rpc.Query[Match, Document]{Name: "Intention.Match"}
	CheckQuery            = rpc.Query[CheckCall, Verdict]{Name: "Intention.Check"}
)

// A Document is an answer that is JSON already; "" is none.
type Document struct {
	Text     string
	Filtered bool // something was left out that the token may not see
}

// MarshalJSON writes the text; as a string if it is no JSON, as only a faulty server can have made it.
func (d Document) MarshalJSON() ([]byte, error) {
	switch {
	case d.Text == "":
		return []byte("null"), nil
	case !json.Valid([]byte(d.Text)):
		return json.Marshal(d.Text)
	}
	return []byte(d.Text), nil
}

// FilteredByACLs tells whether something was left out that the token may not see.
func (d Document) FilteredByACLs() bool { return d.Filtered }

// ListIntentions asks for all intentions.
type ListIntentions struct{ Filter string }

// OneIntention asks for one, by its ID or else by the services between which it is.
type OneIntention struct{ ID, Source, Peer, Destination string }

// Match asks for the intentions that speak of services, as sources or else as destinations.
type Match struct {
	Source bool
	Names  catalog.List
}

// CheckCall asks whether one service may call another. Who registers the destination may ask with Own set, others may who
// can read it.
type CheckCall struct {
	Source, Destination string
	Own                 bool
}

// A Verdict is whether a call is allowed, and why.
type Verdict struct {
	Allowed bool
	Reason  string
}

const uuidLength = 36

// ChangeIntention answers ChangeIntentionMethod.
func (s *Service) ChangeIntention(ctx context.Context, az acl.Authorizer, c *ChangeIntention) (bool, error) {
	tx := s.Log.DB().Read().Unwatched()
	if c.ID != "" && c.Verb != CreateIntention {
		e, _, err := byID(tx, c.ID)
		switch {
		case err != nil:
			return false, err
		case e != nil:
			if err := may(az, ServiceIntentions, e.Name, acl.Write); err != nil {
				return false, err
			}
			if c.Verb == UpdateIntention && c.Destination != e.Name {
				return false, refuse("Cannot modify DestinationNS or DestinationName for an intention once it exists")
			}
		case c.Destination == "": // of nothing, whose name nobody knows
			if err := may(az, ServiceIntentions, wildcard, acl.Write); err != nil {
				return false, err
			}
		}
	}
	if c.Destination != "" || c.ID == "" {
		if err := may(az, ServiceIntentions, c.Destination, acl.Write); err != nil {
			return false, err
		}
	}
	if c.Source == "" {
		c.Source = "{}"
	}
	c.Now = time.Now().UTC()
	_, err := s.Log.Apply(ctx, c)
	return err == nil, err
}

// Legacy makes the change that writes an intention of a client that knows no entries, and tells what is wrong with it.
func Legacy(i *Intention, verb string) (*ChangeIntention, error) {
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for _, end := range []struct{ field, name, space string }{{"Source", i.SourceName, i.SourceNS}, {"Destination", i.DestinationName, i.DestinationNS}} {
		switch {
		case end.name == "":
			say("%sName must be set", end.field)
		case partialWildcard(end.name):
			say("%sName: wildcard character '*' cannot be used with partial values", end.field)
		}
		if end.space != "" && end.space != defaultName {
			say("%sNS: namespaces are a Consul Enterprise feature", end.field)
		}
	}
	if i.SourceType == "" {
		i.SourceType = "consul"
	}
	switch {
	case len(i.Permissions) > 0:
		say("Permissions: they can be written with /v1/connect/intentions/exact and as a configuration entry only")
	case i.Action != Allow && i.Action != Deny:
		say("Action must be set to 'allow' or 'deny'")
	}
	if i.SourceType != "consul" {
		say("SourceType must be set to 'consul'")
	}
	if len(i.Description) > 512 {
		say("Description exceeds maximum length 512")
	}
	if len(i.Meta) > 64 {
		say("Meta exceeds maximum element count 64")
	}
	if len(wrong) > 0 {
		text := "1 error occurred:"
		if len(wrong) > 1 {
			text = fmt.Sprintf("%d errors occurred:", len(wrong))
		}
		return nil, refuse("%s\n\t* %s\n\n", text, strings.Join(wrong, "\n\t* "))
	}
	source := i.source()
	source.LegacyMeta = i.Meta
	return change(verb, i, source)
}

// Exact makes the change that writes or deletes the intention between two services.
func Exact(i *Intention, verb string) (*ChangeIntention, error) {
	i.ID = ""
	return change(verb, i, i.source())
}

func change(verb string, i *Intention, source *Source) (*ChangeIntention, error) {
	text, err := json.Marshal(source)
	if err != nil {
		return nil, err
	}
	return &ChangeIntention{Verb: verb, ID: i.ID, Destination: i.DestinationName, Source: string(text)}, nil
}

// sees tells whether an intention may be seen: by who may read those of either side.
func sees(az acl.Authorizer, i *Intention) bool {
	return az.Allow(acl.Intention, i.DestinationName, acl.Read) || i.SourcePeer == "" && az.Allow(acl.Intention, i.SourceName, acl.Read)
}

func document(v any, filtered bool) (Document, error) {
	text, err := json.Marshal(v)
	return Document{string(text), filtered}, err
}

// watchIntentions watches the entries, and gives a transaction to read them and the index at which they last changed.
func watchIntentions(tx *state.Tx) (*state.Tx, uint64) {
	return tx.Unwatched(), tx.Changed(kindIndex + ServiceIntentions)
}

// ListIntentions answers ListIntentionsQuery.
func (s *Service) ListIntentions(tx *state.Tx, az acl.Authorizer, q *ListIntentions) (Document, uint64, error) {
	filter, err := catalog.NewFilter[*Intention](q.Filter)
	if err != nil {
		return Document{}, 0, err
	}
	quiet, index := watchIntentions(tx)
	filtered := false
	var wrong error
	all, err := collect(quiet, func(i *Intention) bool {
		if !sees(az, i) {
			filtered = true
			return false
		}
		keep, err := filter.Keep(i)
		if err != nil {
			wrong = err
		}
		return keep
	})
	if err = firstError(err, wrong); err != nil {
		return Document{}, 0, err
	}
	if all == nil {
		all = []*Intention{}
	}
	d, err := document(all, filtered)
	return d, index, err
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// OneIntention answers OneIntentionQuery.
func (s *Service) OneIntention(tx *state.Tx, az acl.Authorizer, q *OneIntention) (Document, uint64, error) {
	quiet, index := watchIntentions(tx)
	var found *Intention
	var err error
	switch {
	case q.ID != "" && len(q.ID) != uuidLength:
		return Document{}, 0, rpc.Errorf(rpc.Invalid, "failed config entry lookup: index error: UUID must be 36 characters")
	case q.ID != "":
		var e *Entry
		var at int
		if e, at, err = byID(quiet, q.ID); e != nil {
			var all []*Intention
			if all, err = intentionsOf(e); err == nil {
				found = all[at]
			}
		}
	default:
		found, err = exact(quiet, q.Source, q.Peer, q.Destination)
	}
	if err != nil {
		return Document{}, 0, err
	}
	asked := &Intention{SourceName: q.Source, SourcePeer: q.Peer, DestinationName: q.Destination}
	if found != nil {
		asked = found
	}
	if !sees(az, asked) {
		return Document{}, 0, acl.Require(az, acl.Intention, asked.DestinationName, acl.Read)
	}
	if found == nil {
		return Document{}, index, nil
	}
	d, err := document(found, false)
	return d, index, err
}

// Match answers MatchQuery.
func (s *Service) Match(tx *state.Tx, az acl.Authorizer, q *Match) (Document, uint64, error) {
	quiet, index := watchIntentions(tx)
	answer := map[string][]*Intention{}
	for _, name := range q.Names.Items() {
		if err := may(az, ServiceIntentions, name, acl.Read); err != nil {
			return Document{}, 0, err
		}
		lookup := toward
		if q.Source {
			lookup = from
		}
		all, err := lookup(quiet, name)
		if err != nil {
			return Document{}, 0, err
		}
		answer[name] = slices.Concat([]*Intention{}, all)
	}
	d, err := document(answer, false)
	return d, index, err
}

// Check answers CheckQuery.
func (s *Service) Check(tx *state.Tx, az acl.Authorizer, q *CheckCall) (Verdict, uint64, error) {
	access := acl.Read
	if q.Own {
		access = acl.Write
	}
	if err := acl.Require(az, acl.Service, q.Destination, access); err != nil {
		return Verdict{}, 0, err
	}
	quiet, index := watchIntentions(tx)
	v, err := decide(quiet, q.Source, q.Destination, !s.DenyCalls)
	return v, index, err
}
