package state

import (
	"context"
	"time"

	"github.com/tinylib/msgp/msgp"
)

//msgp:ignore Command Isolated Log logError
//go:generate go tool msgp -o log_gen.go -tests=false -io=false

// A Command is one replicated change. Apply must be deterministic: identifiers, times and random choices are made
// before and carried in the command. What it returns is handed to who called Log.Apply on this server; its error, too,
// and then it has changed nothing (see Isolated).
type Command interface {
	msgp.Marshaler
	msgp.Unmarshaler
	Apply(tx *Tx) (any, error)
}

// An Isolated command may fail after it has written something: it is applied in a transaction of its own, which is
// aborted if Apply returns an error.
type Isolated interface {
	Command
	Isolated()
}

// Consistency says how fresh a read must be.
type Consistency uint8

const (
	// Default reads are answered by the leader under its lease.
	Default Consistency = iota
	// Consistent reads are answered after the leader has made sure that it still leads.
	Consistent
	// Stale reads are answered by any server from what it has.
	Stale
)

// ReadOptions say how fresh a read must be.
type ReadOptions struct {
	Consistency Consistency
	MaxStale    time.Duration // of a stale read; 0 is no limit
}

// ReadMeta says how fresh a read is.
type ReadMeta struct {
	LastContact time.Duration // since this server last heard of the leader; 0 on the leader
	KnownLeader bool
}

// A Log is the one way to change the state and the way to know that it is fresh enough to read.
type Log interface {
	// Apply writes the command to the log and blocks until it is durable and applied here. It returns what the
	// command's Apply returned, ErrNoLeader if this server cannot write, ErrUncertain if it could not find out, or
	// context.DeadlineExceeded if the deadline of ctx is over before the write has begun.
	Apply(ctx context.Context, cmd Command) (any, error)
	// Fresh blocks until a read from DB satisfies the options.
	Fresh(ctx context.Context, opts ReadOptions) (ReadMeta, error)
	// DB is where to read after Fresh.
	DB() *DB
}

// Read runs do in a reading Tx that is as fresh as the options ask.
func Read(ctx context.Context, log Log, opts ReadOptions, do func(tx *Tx) error) (ReadMeta, error) {
	meta, err := log.Fresh(ctx, opts)
	if err != nil {
		return meta, err
	}
	return meta, do(log.DB().Read())
}

// logError is an error of the log with the code that package rpc carries between servers.
type logError struct{ text, code string }

func (e *logError) Error() string { return e.text }

// ErrorCode is the code under which package rpc carries the error.
func (e *logError) ErrorCode() string { return e.code }

// ErrNoLeader tells that there is no server that could answer. Its text is what Consul's clients look for.
var ErrNoLeader error = &logError{"No cluster leader", "no_leader"}

// ErrUncertain tells that the leadership was lost while a write was under way: it may be applied later or never, and who
// tries it again must bear that both happen.
var ErrUncertain error = &logError{"leadership lost while committing log", "uncertain"}

// ErrStopped tells that the log has been closed.
var ErrStopped error = &logError{"the server is stopping", "stopped"}
