package view

import (
	"context"
	"time"

	"lictor/rpc"
	"lictor/state"
)

//msgp:tuple Tag
//msgp:ignore Source
//go:generate go tool msgp -o source_gen.go -tests=false -io=false

// A Source is where an agent without the state gets answers from: the servers. It may be asked from any goroutine, and
// what it is asked must not be changed. Its errors are those that servers answer with, or have the code NoLeader,
// Unreachable or none at all if no server could be reached: then it is worth while to ask again.
type Source interface {
	// Fetch gives one answer that is as fresh as the Ask wants it.
	Fetch(ctx context.Context, q *Ask) (*Packed, error)
	// Follow delivers the answer now, and again after each change, until ctx ends, deliver fails or the server goes away.
	// Deliver is called by one goroutine at a time and does not keep what it is given.
	Follow(ctx context.Context, q *Ask, deliver func(*Packed) error) error
}

// An Ask is a query as it travels.
type Ask struct {
	Header            rpc.Header `msg:"-"` // travels as that of the call
	Query             string     `msg:"q"`
	Args              []byte     `msg:"a"` // as package rpc encodes them
	state.ReadOptions `msg:"o"`
	Have              Tag `msg:"h"` // of the result that the asker holds; the zero Tag is none
}

// A Packed is an answer as it travels.
type Packed struct {
	Index       uint64        `msg:"i"`
	Tag         Tag           `msg:"t"`
	LastContact time.Duration `msg:"l"`
	KnownLeader bool          `msg:"k"`
	Unchanged   bool          `msg:"u"`           // it is what the asker holds, and has no Body
	Body        []byte        `msg:"b,omitempty"` // the result, as package rpc encodes it; shared, must not be changed
}

// A Tag names one Result of one server. Of two results of the same query on the same server, the one with the higher Seq
// is the younger.
type Tag struct {
	Server uint64 // chosen at random by each process
	Seq    uint64
}
