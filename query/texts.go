package query

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"lictor/rpc"
)

// A refusal is the error of a command that changed nothing because of what is in the state, in Consul's words.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// said puts Consul's words before those of a refusal; other errors stay as they are.
func said(err error) error {
	var r *refusal
	if errors.As(err, &r) {
		return rpc.Errorf(rpc.Internal, "raft apply failed: %v", err)
	}
	return err
}

// ErrNotFound tells that there is no such query.
var ErrNotFound = rpc.Errorf(rpc.NotFound, "Query not found")

var (
	errHasID     = rpc.Errorf(rpc.Internal, "ID must be empty when creating a new prepared query")
	errNoSession = errors.New("Must be bound to a session")
	errNoService = errors.New("Must provide a Service name to query")
	errTargets   = errors.New("Targets cannot be populated with NearestN or Datacenters")
	errSameness  = errors.New("Service.SamenessGroup and Service.Peer are not supported: leave them empty")
	errNoPlace   = errors.New("Service.Failover.Targets: each must name a Datacenter or a Peer, and not both")
	errHidden    = fmt.Errorf("Token: %q is what is shown in place of a token; allowed are a token's SecretID and \"\", which is none", hidden)
)

func errTTL(ttl string) error {
	return fmt.Errorf("DNS.TTL: %q; allowed are durations of 0s and more, such as 10s, and \"\", which is the TTL of the service", ttl)
}

func errByID(id string) error {
	return rpc.Errorf(rpc.Internal, "query %s is a template; allowed are names that begin with its own, and not its ID", id)
}

func errMissing(id string) error {
	return rpc.Errorf(rpc.Internal, "Cannot modify non-existent prepared query: '%s'", id)
}

// validID refuses what cannot be a query's ID.
func validID(id string) error {
	if len(id) != 36 {
		return errors.New("UUID must be 36 characters")
	}
	if n := strings.Count(id, "-"); n > 4 {
		return fmt.Errorf(`UUID should have maximum of 4 "-"; got %d`, n)
	}
	if _, err := hex.DecodeString(strings.ReplaceAll(id, "-", "")); err != nil {
		return fmt.Errorf("Invalid UUID: %w", err)
	}
	return nil
}

// checkID is validID in the words of a lookup.
func checkID(id string) error {
	if err := validID(id); err != nil {
		return rpc.Errorf(rpc.Internal, "failed prepared query lookup: index error: %v", err)
	}
	return nil
}
