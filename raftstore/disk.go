package raftstore

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// A disk that hangs stops a leader in the middle of a write, while its heartbeats, which need no disk, keep the other
// servers from electing one that works. So the leader watches its own disk: after diskPatience without progress it
// falls silent, takes no more writes, and the others elect. A server that is alone has nobody to hand over to: it says
// so, and refuses writes rather than let them wait.
//
// A disk that fails is another thing: Raft steps down at the first write that does, and tells who asked for it. But a
// server that cannot write would be elected again as likely as not, fail again, and hold up the cluster. So it calls
// nobody, and so wins no election, until a write succeeds or diskPatience has passed and it is worth a try.
const diskPatience = 5 * time.Second

// A failure is a write that has failed.
type failure struct {
	at  time.Time
	err error
}

// A disk is a raft.LogStore that knows whether writes to another one make progress.
type disk struct {
	raft.LogStore
	reached func(step string) error // of tests; may be nil
	made    time.Time
	begun   atomic.Int64 // when the write that is under way began, in nanoseconds since made; 0 if there is none
	stalled atomic.Bool
	failed  atomic.Pointer[failure] // of the last write; nil if it succeeded
}

// IsMonotonic tells what the store is: Raft asks for it.
func (d *disk) IsMonotonic() bool {
	m, ok := d.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// StoreLog stores one entry.
func (d *disk) StoreLog(entry *raft.Log) error { return d.StoreLogs([]*raft.Log{entry}) }

// StoreLogs stores entries.
func (d *disk) StoreLogs(entries []*raft.Log) error {
	err := d.store(entries)
	if err != nil {
		d.failed.Store(&failure{time.Now(), err})
	} else if d.failed.Load() != nil {
		d.failed.Store(nil)
	}
	return err
}

func (d *disk) store(entries []*raft.Log) error {
	d.begun.Store(int64(max(1, time.Since(d.made))))
	defer d.begun.Store(0)
	if d.reached != nil {
		if err := d.reached("store"); err != nil {
			return err
		}
	}
	return d.LogStore.StoreLogs(entries)
}

// waiting is how long the write that is under way has lasted.
func (d *disk) waiting() time.Duration {
	begun := d.begun.Load()
	if begun == 0 {
		return 0
	}
	return time.Since(d.made) - time.Duration(begun)
}

// watchDisk looks at the disk until Stop.
func (n *Node) watchDisk() {
	defer n.done.Done()
	tick := time.NewTicker(n.patience / 5)
	defer tick.Stop()
	var told *failure
	for {
		select {
		case <-tick.C:
		case <-n.ctx.Done():
			return
		}
		d := n.store.disk
		switch stalled := d.waiting() > n.patience; {
		case stalled && !d.stalled.Swap(true):
			n.Log.Error("the disk makes no progress: this server takes no writes, and does not lead others", "path", n.Dir, "since", n.patience)
			if n.raft.State() == raft.Leader {
				n.resign(n.raft.CurrentTerm())
			}
			n.trans.wire.sever() // dialer opens no others
		case !stalled && d.stalled.Swap(false):
			n.Log.Info("the disk makes progress again", "path", n.Dir)
		}
		switch f := d.failed.Load(); {
		case f != nil && told == nil:
			n.Log.Error("writes to the disk fail: this server acknowledges none, and does not lead others", "path", n.Dir, "error", f.err)
			told = f
		case f == nil && told != nil:
			n.Log.Info("writes to the disk succeed again", "path", n.Dir)
			told = nil
		}
	}
}

// writable is an error while the disk hangs.
func (n *Node) writable() error {
	if n.store.disk.stalled.Load() {
		return fmt.Errorf("write to the log: the disk of %s makes no progress", n.Dir)
	}
	return nil
}

// dialTimeout bounds how long a server is dialed: one that comes back is not found by the attempts that began before,
// whose packets are repeated more and more rarely.
const dialTimeout = 3 * time.Second

// dialer opens a connection to another server. It refuses to while the disk hangs or fails.
func (n *Node) dialer(ctx context.Context, id, address string) (net.Conn, error) {
	if err := n.writable(); err != nil {
		return nil, err
	}
	if err := n.ailing(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return n.Dial(ctx, id, address)
}

// ailing is an error for a while after a write has failed.
func (n *Node) ailing() error {
	if f := n.store.disk.failed.Load(); f != nil && time.Since(f.at) < n.patience {
		return fmt.Errorf("the disk of %s fails: %w", n.Dir, f.err)
	}
	return nil
}
