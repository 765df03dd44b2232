// Package rpc is how agents call one another: typed methods and queries, what travels with a call besides its
// arguments, and errors that keep their code on the way. It knows nothing of what the methods do.
package rpc

import (
	"context"
	"errors"
	"fmt"
)

// A Header is what travels with every call.
type Header struct {
	Token      string // secret; "" is the anonymous token
	Datacenter string // "" is the caller's own
	// Direct asks whoever receives the call, in the datacenter it is for, to answer it or refuse, not to send it on: who sends it knows better.
	Direct bool
	// Hops is 0 until a server sends the call on to another datacenter, which then says how far it may still go; MaxHops at
	// most.
	Hops uint8
}

// MaxHops bounds Header.Hops.
const MaxHops = 3

// A Method is a call that changes something, or that asks for something outside the replicated state. A is its
// argument and R its answer; both are passed by pointer and belong to the callee and the caller respectively.
type Method[A, R any] struct {
	// Name is "Group.Verb"; it is unique and part of the protocol.
	Name string
	// Anywhere tells that any server answers the call from what it has itself. All other calls are for the leader.
	Anywhere bool
	// Repeatable tells that the call may be made again when nobody knows whether it was carried out.
	Repeatable bool
	// Servers tells that only servers make the call.
	Servers bool
}

// A Query is a read of the replicated state, with an answer that can be shared and watched. A is comparable because
// equal arguments share one answer.
type Query[A comparable, R any] struct {
	// Name is "Group.Verb"; it is unique and part of the protocol.
	Name string
}

// A Caller delivers calls to whoever can answer them.
type Caller interface {
	// Call blocks until the call named by method is answered or ctx is done. Args is a *A, reply a *R.
	Call(ctx context.Context, h Header, method string, args, reply any) error
}

// Call makes the call and blocks for its answer.
func (m Method[A, R]) Call(ctx context.Context, c Caller, h Header, args *A) (R, error) {
	var reply R
	err := c.Call(ctx, h, m.Name, args, &reply)
	return reply, err
}

// Code says what kind an error is, across the wire.
type Code string

// The codes. Errors of other packages that have a method ErrorCode() string keep theirs.
const (
	Invalid          Code = "invalid"           // the request cannot be carried out as it stands
	NotFound         Code = "not_found"         // what it names does not exist
	Conflict         Code = "conflict"          // what it names is in the way
	PermissionDenied Code = "permission_denied" // see package acl
	NoLeader         Code = "no_leader"         // see state.ErrNoLeader
	NoDatacenter     Code = "no_datacenter"     // the datacenter is unknown or out of reach
	NotImplemented   Code = "not_implemented"   // this version does not have it
	Limited          Code = "limited"           // too many requests or too large a body
	Internal         Code = "internal"          // anything else
)

// An Error is an error with a code. Its text is for who made the request.
type Error struct {
	Code Code
	Text string
}

func (e *Error) Error() string { return e.Text }

// ErrorCode is the error's code.
func (e *Error) ErrorCode() string { return string(e.Code) }

// Errorf makes an *Error.
func Errorf(code Code, format string, args ...any) error {
	return &Error{code, fmt.Sprintf(format, args...)}
}

// CodeOf finds the code of err or of what it wraps; Internal if there is none.
func CodeOf(err error) Code {
	type coded interface {
		error
		ErrorCode() string
	}
	if c, ok := errors.AsType[coded](err); ok {
		return Code(c.ErrorCode())
	}
	return Internal
}

// ErrNoDatacenter tells that a datacenter is unknown or out of reach.
var ErrNoDatacenter error = &Error{NoDatacenter, "No path to datacenter"}
