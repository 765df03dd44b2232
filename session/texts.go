package session

import (
	"errors"
	"fmt"
	"time"

	"lictor/rpc"
)

// A refusal is the error of a command that changed nothing because of what is in the state, in Consul's words.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// ErrMissing tells that a lock names no session.
var ErrMissing = refuse("missing session")

var errMissingNode = refuse("Missing node registration")

// said puts Consul's words before those of a refusal; other errors stay as they are.
func said(before string, err error) error {
	var r *refusal
	if errors.As(err, &r) {
		return rpc.Errorf(rpc.Internal, "%s: %v", before, err)
	}
	return err
}

// Texts of what is refused before it reaches the log. Clients look for the beginning of the one about TTLs.
var errNoNode = rpc.Errorf(rpc.Internal, "Must provide Node")

func errBehavior(got string) error {
	return rpc.Errorf(rpc.Internal, "Invalid Behavior setting '%s'", got)
}

func errTTL(got, min time.Duration) error {
	return rpc.Errorf(rpc.Internal, "Invalid Session TTL '%d', must be between [%v=%v]", int64(got), min, MaxTTL)
}

func errNoTTL(got string, err error) error {
	return rpc.Errorf(rpc.Internal, "Session TTL '%s' invalid: %v", got, err)
}

func errNotFound(id string) error {
	return rpc.Errorf(rpc.NotFound, "Session id '%s' not found", id)
}
