package session

import (
	"sync"
	"time"

	"lictor/kv"
	"lictor/state"
)

// Delays remembers which keys lost their lock with its session, and until when nobody else may acquire them. Every
// server notes them as it applies the log, in memory alone; the leader refuses by them before it writes to the log, so
// that clocks have no part in what is replicated. The zero value and nil are ready for use; nil remembers nothing.
type Delays struct {
	mu    sync.Mutex // guards what follows
	until map[string]time.Time
	sweep int // the size at which those that are over are dropped
}

// MaxLockDelay is the longest time for which a key stays locked to nobody, whatever its session was made with.
const MaxLockDelay = time.Minute

// Note takes the facts that Cascade left in the transaction of a command and begins the delays of the keys that sessions
// have lost. It is called before the transaction is committed: who sees the key free finds its delay.
func (d *Delays) Note(tx *state.Tx) {
	for _, fact := range tx.Events() {
		if e, ok := fact.(Ended); ok && d != nil && e.LockDelay > 0 && len(e.Keys) > 0 {
			d.begin(e)
		}
	}
}

func (d *Delays) begin(e Ended) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.until == nil {
		d.until = map[string]time.Time{}
	}
	now := time.Now()
	for _, k := range e.Keys {
		if end := now.Add(min(e.LockDelay, MaxLockDelay)); end.After(d.until[k]) {
			d.until[k] = end
		}
	}
	if len(d.until) > d.sweep {
		for k, end := range d.until {
			if !end.After(now) {
				delete(d.until, k)
			}
		}
		d.sweep = max(1024, 2*len(d.until))
	}
}

// Active tells whether a key may not be acquired yet.
func (d *Delays) Active(key string) bool {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.until[key].After(time.Now())
}

// Seen is the log index up to which all lock delays have begun: Delays are to be looked at after it was read. See
// Acquire.
func Seen(db *state.DB) uint64 {
	return db.Read().Unwatched().Changed(kv.Entries.Name(), kv.Tombstones.Name())
}
