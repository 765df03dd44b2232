package kv

import (
	"context"
	"log/slog"
	"time"

	"lictor/expiry"
	"lictor/rpc"
	"lictor/state"
)

//msgp:ignore Expiry
//go:generate go tool msgp -o expiry_gen.go -tests=false -io=false

// MinTTL and MaxTTL bound the TTL of a key.
const (
	MinTTL = time.Second
	MaxTTL = 24 * time.Hour
)

// mortal is the key in the index "ttl" of the entries that have a TTL.
const mortal = "ttl\x00"

// ErrTTL tells that a TTL is none.
func ErrTTL(text string) error {
	return rpc.Errorf(rpc.Invalid, "Invalid ttl %q: it must be a duration from %s to %s, such as \"30s\"", text, "1s", "24h")
}

// CheckTTL refuses what cannot be the TTL of a key. "" is none.
func CheckTTL(text string) error {
	if text == "" {
		return nil
	}
	if d, err := time.ParseDuration(text); err != nil || d < MinTTL || d > MaxTTL {
		return ErrTTL(text)
	}
	return nil
}

// ttl is how long the entry lives after it was written; 0 is for ever.
func (e *Entry) ttl() time.Duration {
	d, _ := time.ParseDuration(e.TTL) // checked before it was stored
	return d
}

// An Expired names an entry whose TTL is over: one that was not changed since Index.
type Expired struct {
	Key   string
	Index uint64
}

// An Expire removes entries whose TTL is over. One that has been written since then stays.
type Expire struct {
	Keys []Expired `msg:"Keys,allownil"`
}

// Apply answers nothing.
func (x *Expire) Apply(tx *state.Tx) (any, error) {
	for _, k := range x.Keys {
		if e := Entries.Get(tx, k.Key); e != nil && e.TTL != "" && e.ModifyIndex == k.Index {
			Remove(tx, k.Key)
		}
	}
	return nil, nil
}

// Expiry removes keys whose TTL is over. It works on the leader, in memory alone: a new leader lets every key live for
// its whole TTL again, so that none goes early. NewExpiry makes one; nil knows of no TTLs.
type Expiry struct {
	log    state.Log
	logger *slog.Logger
	queue  *expiry.Queue
}

// NewExpiry makes an Expiry that does nothing until Run.
func NewExpiry(log state.Log, logger *slog.Logger) *Expiry {
	e := &Expiry{log: log, logger: logger}
	e.queue = expiry.New(expiry.Work{Load: e.load, Due: e.due, End: e.end})
	return e
}

// Run removes keys from now on until ctx is done, which it blocks for. The leader runs it.
func (e *Expiry) Run(ctx context.Context) { e.queue.Run(ctx) }

// load sets deadlines for the entries that have none as they are now.
func (e *Expiry) load() {
	now := time.Now()
	for row := range Entries.Each(e.log.DB().Read().Unwatched(), "ttl", mortal) {
		e.queue.Add(expiry.Item{Name: row.Key, Version: row.ModifyIndex}, now.Add(row.ttl()))
	}
}

// Written gives a key that was just written its whole TTL, if it has one.
func (e *Expiry) Written(key string) {
	if e == nil {
		return
	}
	if row := Entries.Get(e.log.DB().Read().Unwatched(), key); row != nil && row.TTL != "" {
		e.queue.Set(expiry.Item{Name: key, Version: row.ModifyIndex}, time.Now().Add(row.ttl()))
	}
}

// due tells whether a key is as it was when it got its deadline. One that was changed gets another one.
func (e *Expiry) due(i expiry.Item) bool {
	row := Entries.Get(e.log.DB().Read().Unwatched(), i.Name)
	if row == nil || row.TTL == "" {
		return false
	}
	if row.ModifyIndex != i.Version {
		e.queue.Set(expiry.Item{Name: i.Name, Version: row.ModifyIndex}, time.Now().Add(row.ttl()))
		return false
	}
	return true
}

// end removes keys.
func (e *Expiry) end(ctx context.Context, items []expiry.Item) error {
	x := &Expire{}
	for _, i := range items {
		x.Keys = append(x.Keys, Expired{i.Name, i.Version})
	}
	_, err := e.log.Apply(ctx, x)
	if err != nil && ctx.Err() == nil {
		e.logger.Warn("failed to remove keys whose TTL is over", "keys", len(items), "error", err)
	}
	return err
}
