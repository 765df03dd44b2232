package raftstore

import (
	"sync"

	"github.com/hashicorp/raft"
)

// The newest entries stay in memory, for followers that are close behind. They are bounded by their number and by their
// bytes: one command may be half a megabyte, a typical one a few hundred bytes.
const (
	cachedEntries = 512
	cachedBytes   = 1 << 20
)

// A cache is a raft.LogStore that keeps the newest entries of another one in memory.
type cache struct {
	raft.LogStore
	mu    sync.RWMutex // guards what follows
	ring  [cachedEntries]raft.Log
	first uint64 // of the entries in the ring; it is empty if first == next
	next  uint64
	bytes int
}

func newCache(store raft.LogStore) *cache { return &cache{LogStore: store} }

// IsMonotonic tells what the store is: Raft asks for it.
func (c *cache) IsMonotonic() bool {
	m, ok := c.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// GetLog finds an entry here, else in the store.
func (c *cache) GetLog(index uint64, into *raft.Log) error {
	c.mu.RLock()
	hit := index >= c.first && index < c.next
	if hit {
		*into = c.ring[index%cachedEntries]
	}
	c.mu.RUnlock()
	if hit {
		return nil
	}
	return c.LogStore.GetLog(index, into)
}

// StoreLog stores one entry.
func (c *cache) StoreLog(entry *raft.Log) error { return c.StoreLogs([]*raft.Log{entry}) }

// StoreLogs stores entries and remembers them once they are stored. It keeps copies: the entries themselves are parts
// of what waits for them, which would stay in memory too.
func (c *cache) StoreLogs(entries []*raft.Log) error {
	if err := c.LogStore.StoreLogs(entries); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range entries {
		if e.Index != c.next {
			c.clear()
			c.first, c.next = e.Index, e.Index
		}
		if c.next-c.first == cachedEntries {
			c.dropOldest()
		}
		c.ring[e.Index%cachedEntries] = *e
		c.bytes += len(e.Data)
		c.next++
		for c.bytes > cachedBytes {
			c.dropOldest()
		}
	}
	return nil
}

// DeleteRange deletes entries and forgets all.
func (c *cache) DeleteRange(from, to uint64) error {
	c.mu.Lock()
	c.clear()
	c.mu.Unlock()
	return c.LogStore.DeleteRange(from, to)
}

func (c *cache) dropOldest() {
	oldest := &c.ring[c.first%cachedEntries]
	c.bytes -= len(oldest.Data)
	*oldest = raft.Log{}
	c.first++
}

func (c *cache) clear() {
	for c.first < c.next {
		c.dropOldest()
	}
}
