package raftstore

import (
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
const diskPatience = 5 * time.Second

// A disk is a raft.LogStore that knows whether writes to another one make progress.
type disk struct {
	raft.LogStore
	reached func(step string) error // of tests; may be nil
	begun   atomic.Int64            // when the write that is under way began, in Unix nanoseconds; 0 if there is none
	stalled atomic.Bool
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
	d.begun.Store(time.Now().UnixNano())
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
	return time.Since(time.Unix(0, begun))
}

// watchDisk looks at the disk until Stop.
func (n *Node) watchDisk() {
	defer n.done.Done()
	patience := n.patience
	if patience == 0 {
		patience = diskPatience
	}
	tick := time.NewTicker(patience / 5)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-n.ctx.Done():
			return
		}
		d := n.store.disk
		switch stalled := d.waiting() > patience; {
		case stalled && !d.stalled.Swap(true):
			n.Log.Error("the disk makes no progress: this server takes no writes, and does not lead others", "path", n.Dir, "since", patience)
			n.trans.CloseStreams() // stream.Dial opens no others
		case !stalled && d.stalled.Swap(false):
			n.Log.Info("the disk makes progress again", "path", n.Dir)
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

// dialer refuses to open connections while the disk hangs.
func (n *Node) dialer(address string, timeout time.Duration) (net.Conn, error) {
	if err := n.writable(); err != nil {
		return nil, err
	}
	return n.Dial(address, timeout)
}
