package rpc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Codes of errors that this package makes or carries besides those that methods use.
const (
	Unreachable Code = "unreachable"       // there was no connection, or it broke: see ConnError
	Canceled    Code = "canceled"          // context.Canceled
	Deadline    Code = "deadline_exceeded" // context.DeadlineExceeded
)

// A ConnError tells that a call got no answer because there was no connection, or because it broke.
type ConnError struct {
	Target Target
	Sent   bool // false: the request certainly was not delivered, so trying again or elsewhere is safe
	Err    error
}

func (e *ConnError) Error() string { return fmt.Sprintf("rpc to %s: %v", e.Target.Address, e.Err) }

func (e *ConnError) Unwrap() error { return e.Err }

// ErrorCode is the error's code.
func (e *ConnError) ErrorCode() string { return string(Unreachable) }

// Why a connection ends that did nothing wrong.
var (
	errStopped   = errors.New("this node is stopping")
	errRefused   = errors.New("the other node is stopping")
	errForgotten = errors.New("the other node has left")
	errIdle      = errors.New("the connection was not in use")
	errDead      = errors.New("the other node does not answer")
	errStalled   = errors.New("the other node does not read")
	errClosed    = errors.New("the connection is closed")
)

// A fault is an error on its way.
//
//	0        1             +2
//	+--------+--- ... ---+------+--- ... ---+--- ... ---+
//	| length | code      | l.   | core      | text      |
//	+--------+--- ... ---+------+--- ... ---+--- ... ---+
//
// The core is the text of the error that has the code, if others are wrapped around it; else it is empty.
type fault struct {
	code       Code
	core, text string
}

// Longer texts are cut.
const (
	maxCore = 8 << 10
	maxText = 32 << 10
)

// faultOf is what there is to tell about err.
func faultOf(err error) fault {
	var coded interface {
		error
		ErrorCode() string
	}
	f := fault{code: Internal, text: err.Error()}
	switch {
	case errors.As(err, &coded):
		f.code, f.core = Code(coded.ErrorCode()), coded.Error()
	case errors.Is(err, context.DeadlineExceeded):
		f.code = Deadline
	case errors.Is(err, context.Canceled):
		f.code = Canceled
	}
	if f.core == f.text || len(f.core) > maxCore {
		f.core = ""
	}
	return f
}

func (f *fault) append(b []byte) []byte {
	code, text := f.code, f.text
	if len(code) > 255 {
		code = Internal
	}
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "")
	}
	b = append(append(b, byte(len(code))), code...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(f.core)))
	return append(append(b, f.core...), text...)
}

func parseFault(b []byte) (f fault, err error) {
	var n names
	code, b, err := n.cut(b, 1)
	if err != nil {
		return f, err
	}
	if f.code = Code(code); code == "" {
		f.code = Internal
	}
	f.core, b, err = n.cut(b, 2)
	f.text = string(b)
	return f, err
}

// error is the error that the caller gets: one of the sentinels if it is one, or wraps one; else an *Error.
func (f *fault) error(sentinels []error) error {
	switch f.code {
	case Canceled:
		return context.Canceled
	case Deadline:
		return context.DeadlineExceeded
	}
	core := f.core
	if core == "" {
		core = f.text
	}
	for _, s := range sentinels {
		if s.Error() != core || CodeOf(s) != f.code {
			continue
		}
		if core == f.text {
			return s
		}
		return &relayed{f.text, s}
	}
	return &Error{f.code, f.text}
}

// A relayed error is what was wrapped around a sentinel elsewhere.
type relayed struct {
	text     string
	sentinel error
}

func (e *relayed) Error() string { return e.text }

func (e *relayed) Unwrap() error { return e.sentinel }
