package raftstore

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// leadership is what is known of this server's own.
type leadership struct {
	caughtUp atomic.Uint64 // the term in which it leads and has applied all that was committed before; 0 is none
	ready    atomic.Bool   // leads, and Lead has called ready

	mu      sync.Mutex    // guards changed
	changed chan struct{} // closed at the next change of caughtUp; nil if nobody waits
}

// set changes caughtUp and wakes who waits for that.
func (l *leadership) set(term uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.caughtUp.Store(term)
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// catchUpTimeout bounds how long a read waits for a new leader to catch up.
const catchUpTimeout = 2 * time.Second

// await blocks while a new leader catches up, which takes it milliseconds as a rule: somebody who has just been told
// that his write was accepted is not told then that there is no leader. It returns at the next change.
func (l *leadership) await(ctx context.Context, term uint64) {
	l.mu.Lock()
	if l.caughtUp.Load() == term {
		l.mu.Unlock()
		return
	}
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	changed := l.changed
	l.mu.Unlock()
	limit := time.NewTimer(catchUpTimeout)
	defer limit.Stop()
	select {
	case <-changed:
	case <-limit.C:
	case <-ctx.Done():
	}
}

// beginPause is how long a new leader waits before it tries again to write its first entry.
const beginPause = 10 * time.Millisecond

// begin writes the first entry of this server's leadership, and blocks until it is applied.
func (n *Node) begin() error {
	entry, err := n.codec.encode(&Begin{Leader: n.ID})
	if err != nil {
		return err
	}
	return n.ask(func() raft.Future { return n.raft.Apply(entry, 0) })
}
