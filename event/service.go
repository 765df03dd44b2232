package event

import (
	"context"
	"crypto/rand"
	"fmt"

	"lictor/acl"
	"lictor/rpc"
)

// FireMethod broadcasts an event to all agents of a datacenter, those included that it is not meant for. It answers the
// event with its ID.
var FireMethod = rpc.Method[Event, Event]{Name: "Event.Fire", Anywhere: true}

// A Service answers the package's methods on a server.
type Service struct {
	// Broadcast sends an event to all members of the pool, this one included.
	Broadcast func(name string, payload []byte) error
}

// Fire broadcasts an event.
func (s *Service) Fire(_ context.Context, az acl.Authorizer, e *Event) (Event, error) {
	if !az.Allow(acl.Event, e.Name, acl.Write) {
		return Event{}, errDenied
	}
	if e.TagFilter != "" && e.ServiceFilter == "" {
		return Event{}, rpc.Errorf(rpc.Internal, textTagAlone)
	}
	if _, err := e.filters(); err != nil {
		return Event{}, err
	}
	fired := *e
	fired.ID, fired.Version, fired.LTime = newID(), version, 0
	payload, err := fired.MarshalMsg(nil)
	if err != nil {
		return Event{}, fmt.Errorf(textBroadcast, err)
	}
	if err := s.Broadcast(prefix+fired.Name, payload); err != nil {
		return Event{}, fmt.Errorf(textBroadcast, err)
	}
	return fired, nil
}

// errDenied is what Consul answers: it does not say which permission is lacking.
var errDenied = rpc.Errorf(rpc.PermissionDenied, "Permission denied")

// newID makes a random UUID (RFC 9562, version 4).
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
