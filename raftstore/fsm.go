package raftstore

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/hashicorp/raft"

	"lictor/heap"
	"lictor/query"
	"lictor/session"
	"lictor/state"
)

// fsm applies the log to the state. Raft calls it from one goroutine, except for the Persist of a snapshot.
type fsm struct {
	db    *state.DB
	codec *codec
	log   *slog.Logger
	// delays learns which locks were lost with their sessions; nil if nobody asks.
	delays *session.Delays
	times  *durations
	// reached and members are nil where nobody takes part yet.
	reached *progress
	members *witness
}

// applied is the answer of one command, as it travels through a raft future.
type applied struct {
	value any
	err   error
}

// Apply applies one entry.
func (f *fsm) Apply(entry *raft.Log) any { return f.ApplyBatch([]*raft.Log{entry})[0] }

// ApplyBatch applies entries in one transaction, so that a batch costs one commit and one wake-up. Commands that may
// fail half-way get a transaction of their own.
func (f *fsm) ApplyBatch(entries []*raft.Log) []any {
	answers := make([]any, len(entries))
	for at := 0; at < len(entries); {
		n, ok := f.together(entries[at:], answers[at:])
		if !ok { // one of them panicked: find it, and keep the others
			for i := range n {
				answers[at+i] = f.alone(entries[at+i])
			}
		}
		at += n
	}
	if f.reached != nil {
		f.reached.set(entries[len(entries)-1].Index)
	}
	return answers
}

// together applies entries up to the first one that has to be alone, and tells how many that were. If one panics
// nothing is changed and ok is false.
func (f *fsm) together(entries []*raft.Log, answers []any) (n int, ok bool) {
	var tx *state.Tx
	var clock lap
	defer func() {
		if p := recover(); p != nil {
			f.log.Error("a command failed in a batch, which is applied one by one", "panic", p)
			if tx != nil {
				tx.Abort()
			}
			n, ok = max(n, 1), false
		}
	}()
	for i, entry := range entries {
		if entry.Type != raft.LogCommand {
			n = i + 1
			continue
		}
		kind, cmd, err := f.codec.decode(entry.Data)
		if err != nil {
			panic(err)
		}
		if _, isolated := cmd.(state.Isolated); isolated {
			if i == 0 {
				answers[0] = f.alone(entry)
				return 1, true
			}
			break
		}
		n = i + 1
		if tx == nil {
			tx = f.db.Write(entry.Index)
			clock.end()
		}
		tx.Advance(entry.Index)
		answers[i] = f.run(tx, cmd)
		f.delays.Note(tx)
		f.times.applied(kind.id, clock.end())
	}
	if tx != nil {
		tx.Commit()
	}
	return n, true
}

func (f *fsm) run(tx *state.Tx, cmd state.Command) applied {
	value, err := cmd.Apply(tx)
	session.Cascade(tx)
	query.Cascade(tx)
	return applied{value, err}
}

// alone applies one entry in a transaction of its own, which is undone if the command fails.
func (f *fsm) alone(entry *raft.Log) (answer applied) {
	kind, cmd, err := f.codec.decode(entry.Data)
	if err != nil {
		// To go on without this entry would make this server differ from the others for good.
		panic(fmt.Sprintf("entry %d: %v", entry.Index, err))
	}
	begun := time.Now()
	defer func() { f.times.applied(kind.id, time.Since(begun)) }()
	tx := f.db.Write(entry.Index)
	defer func() {
		if p := recover(); p != nil {
			tx.Abort()
			f.log.Error("a command failed", "index", entry.Index, "command", fmt.Sprintf("%T", cmd), "panic", p)
			answer = applied{err: fmt.Errorf("internal error in %T", cmd)}
		}
	}()
	answer = f.run(tx, cmd)
	if answer.err != nil {
		tx.Abort()
		return answer
	}
	f.delays.Note(tx)
	tx.Commit()
	return answer
}

// Snapshot takes the state of this moment; it is written while later entries are applied.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) { return snapshot{f.db.Snapshot(), f.times}, nil }

// Restore replaces the state by that of a snapshot from a described store.
func (f *fsm) Restore(r io.ReadCloser) error {
	defer r.Close()
	if !f.db.Untouched() {
		defer heap.Spare()()
	}
	if err := f.db.Restore(r); err != nil {
		return err
	}
	if f.reached == nil {
		return nil
	}
	for {
		if d, ok := r.(description); ok {
			f.members.replace(d.meta.ConfigurationIndex, d.meta.Configuration)
			f.reached.set(d.meta.Index)
			return nil
		}
		wrapped, ok := r.(raft.ReadCloserWrapper)
		if !ok {
			return errors.New("restore a snapshot: nobody knows which index it is of")
		}
		r = wrapped.WrappedReadCloser()
	}
}

// described is a raft.SnapshotStore whose snapshots carry what they are of with them: Raft hands the state machine
// nothing but the bytes.
type described struct{ raft.SnapshotStore }

type description struct {
	io.ReadCloser
	meta *raft.SnapshotMeta
}

// Open opens a snapshot.
func (d described) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	meta, r, err := d.SnapshotStore.Open(id)
	if err != nil {
		return nil, nil, err
	}
	return meta, description{r, meta}, nil
}

type snapshot struct {
	*state.Snapshot
	times *durations
}

// Persist streams the snapshot to the sink.
func (s snapshot) Persist(sink raft.SnapshotSink) error {
	defer s.times.persist.Since(time.Now())
	if _, err := s.WriteTo(sink); err != nil {
		sink.Cancel()
		return fmt.Errorf("write the snapshot: %w", err)
	}
	return sink.Close()
}

// Release does nothing: what is no longer referred to is collected.
func (snapshot) Release() {}
