package kvreplication

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"lictor/acl"
	"lictor/kv"
	"lictor/rpc"
	"lictor/state"
)

// How much is in a batch at most, unless one value alone is more.
const (
	batchBytes = 256 << 10
	batchOps   = 1024
)

// The pauses between attempts at a source that cannot be followed, to which chance adds up to a half.
const (
	retryMin = time.Second
	retryMax = time.Minute
)

// silence is how long a source may say nothing before another one of its servers is asked.
const silence = 6 * Heartbeat

// noteAfter is how often it is noted how far a rule has come while no key changes: far less than deletions are remembered.
const noteAfter = 5 * time.Minute

// A copier keeps the copy of one rule like its source. It belongs to one goroutine, but for the account.
type copier struct {
	*Manager
	feed    *Feed
	rule    *Rule
	pace    pace
	logger  *slog.Logger
	account account
	row     Progress  // as it is in the state
	now     Progress  // how far the copy has come: further than row where nothing had to be written
	noted   time.Time // when row was written
	compare time.Time // when everything is compared again
	reached bool      // this attempt has come up to the source
}

// A pace bounds what is written for all rules of a feed.
type pace struct{ keys, bytes *rate.Limiter }

func newPace(f *Feed) pace {
	limiter := func(most, batch int) *rate.Limiter {
		if most == 0 {
			return rate.NewLimiter(rate.Inf, batch)
		}
		return rate.NewLimiter(rate.Limit(most), max(most, batch))
	}
	return pace{limiter(f.MaxKeys, batchOps), limiter(f.MaxBytes, batchBytes)}
}

// wait blocks until so much may be written.
func (p pace) wait(ctx context.Context, keys, bytes int) error {
	if err := p.keys.WaitN(ctx, keys); err != nil {
		return err
	}
	return p.bytes.WaitN(ctx, min(bytes, p.bytes.Burst()))
}

// run copies until ctx ends. What goes wrong is told and tried again.
func (c *copier) run(ctx context.Context) {
	for pause := retryMin; ; pause = min(2*pause, retryMax) {
		c.reached = false
		err := c.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errCompare) {
			pause = retryMin / 2
			continue
		}
		if c.reached {
			pause = retryMin
		}
		wait := pause + rand.N(pause/2)
		if c.account.fail(err) {
			c.logger.Warn("keys are not copied", "error", err, "again_in", wait)
		}
		c.Counts.Failures.Inc()
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// What ends an attempt that is no failure of the source.
var (
	errCompare    = errors.New("all keys are to be compared")
	errSuperseded = errors.New("the rule was changed or carried on by somebody else")
	errSilent     = fmt.Errorf("the source has said nothing for %s", silence)
)

// follow brings over what the source sends until that ends.
func (c *copier) follow(ctx context.Context) error {
	row := rules.Get(c.Log.DB().Read().Unwatched(), c.rule.key())
	if row == nil || !row.Rule.same(c.rule) {
		return errSuperseded
	}
	c.row, c.now, c.noted = *row, *row, time.Now()
	c.account.come(&c.now)
	q := &Follow{Prefix: c.rule.Source, Exclude: c.rule.Exclude, Epoch: row.Epoch, Since: row.Index, Floor: row.Floor, After: row.Cursor}
	if c.due() || row.Floor > 0 {
		q.Since = 0
	}
	args, err := q.MarshalMsg(nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer watchdog.Stop()
	err = c.Stream(ctx, rpc.Header{Token: c.feed.Token, Datacenter: c.rule.Datacenter}, args, func(body []byte) error {
		watchdog.Stop()
		defer watchdog.Reset(silence)
		p := new(Page)
		if err := rpc.Decode(body, p); err != nil {
			return fmt.Errorf("a page that cannot be read: %w", err)
		}
		return c.take(ctx, p)
	})
	if cause := context.Cause(ctx); errors.Is(cause, errSilent) {
		return cause
	}
	return err
}

// due tells whether all keys are to be compared.
func (c *copier) due() bool {
	return c.feed.Compare > 0 && !time.Now().Before(c.compare)
}

// take brings over a page.
func (c *copier) take(ctx context.Context, p *Page) error {
	c.account.heard(p.Index)
	next := c.now
	if !slices.Equal(next.Upstream, p.Upstream) {
		next.Upstream = p.Upstream
		if err := c.write(ctx, next, nil, 0); err != nil {
			return err
		}
	}
	if err := c.loop(); err != nil {
		return err
	}
	switch {
	case p.Full && p.First:
		next.Floor, next.Cursor = p.Index, ""
		if next.Epoch != p.Epoch {
			next.Epoch, next.Index = p.Epoch, 0
		}
		c.account.copying()
	case p.Epoch != next.Epoch:
		return fmt.Errorf("the source sent changes of a state %q that is not the one that the copy is of, %q", p.Epoch, next.Epoch)
	case p.Full && p.From != next.Cursor:
		return fmt.Errorf("the source went on after %q, but the copy has come up to %q", p.From, next.Cursor)
	}
	if err := c.bring(ctx, p, next); err != nil {
		return err
	}
	if p.End {
		c.atEnd(p)
		if !p.Full && c.due() {
			return errCompare
		}
	}
	return nil
}

// atEnd notes that the copy is like its source.
func (c *copier) atEnd(p *Page) {
	c.reached = true
	if p.Full {
		c.compare = time.Now().Add(c.feed.Compare)
	}
	if recovered := c.account.synced(); recovered {
		c.logger.Info("keys are copied", "index", p.Index)
	}
}

// loop refuses to copy what comes from where it would be written.
func (c *copier) loop() error {
	for _, h := range c.now.Upstream {
		if h.Datacenter == c.Datacenter && c.rule.target().overlaps(region{prefix: h.Prefix}) {
			return &LoopError{Rule: *c.rule, From: h.Prefix, Here: c.Datacenter}
		}
	}
	return nil
}

// A LoopError tells that keys would be copied in a circle.
type LoopError struct {
	Rule Rule
	From string // prefix here that the source's keys come from
	Here string // datacenter
}

func (e *LoopError) Error() string {
	return fmt.Sprintf("a circle: %q in datacenter %s is itself copied, directly or by way of others, from %q in this datacenter, %s; remove one of the rules that make it, or exclude the prefix in one",
		e.Rule.Source, e.Rule.Datacenter, e.From, e.Here)
}

// bring writes what a page changes here, in batches. Next is how far the copy has come before it.
func (c *copier) bring(ctx context.Context, p *Page, next Progress) error {
	tx := c.Log.DB().Read().Unwatched()
	var ops []Op
	size := 0
	for op := range c.ops(tx, p) {
		if op.Key == "" || !op.needed(tx) {
			continue
		}
		ops = append(ops, op)
		size += len(op.Key) + len(op.Value) + itemBytes
		if size < batchBytes && len(ops) < batchOps {
			continue
		}
		if p.Full {
			next.Cursor = op.Key[len(c.rule.Destination):]
		}
		if err := c.write(ctx, next, ops, size); err != nil {
			return err
		}
		ops, size = nil, 0
	}
	switch {
	case p.Full && p.End:
		next.Index, next.Floor, next.Cursor = next.Floor, 0, ""
	case p.Full:
		next.Cursor = p.Last
	case p.End:
		next.Index = p.Index
	}
	first := c.row.Index == 0 && next.Index > 0
	if len(ops) > 0 || first || c.row.Epoch != next.Epoch || time.Since(c.noted) >= noteAfter && !next.same(&c.row) {
		return c.write(ctx, next, ops, size)
	}
	c.now = next
	c.account.come(&next)
	return nil
}

// ops are the operations that a page stands for, in the order of the keys if it is of a full answer. Keys that are left out
// are not touched, whatever the source says of them.
func (c *copier) ops(tx *state.Tx, p *Page) iter.Seq[Op] {
	to := c.rule.Destination
	put := func(i *Item) Op { return Op{Key: to + i.Key, Flags: i.Flags, Value: i.Value} }
	return func(yield func(Op) bool) {
		items := slices.DeleteFunc(p.Items, func(i Item) bool { return c.rule.excludes(i.Key) })
		if p.Full {
			for e := range kv.Entries.From(tx, to+p.From) {
				rest, below := strings.CutPrefix(e.Key, to)
				if !below || !p.End && rest > p.Last {
					break
				}
				if !p.First && rest <= p.From {
					continue
				}
				for ; len(items) > 0 && items[0].Key < rest; items = items[1:] {
					if !yield(put(&items[0])) {
						return
					}
				}
				if stays := len(items) > 0 && items[0].Key == rest || c.rule.excludes(rest); !stays && !yield(Op{Key: e.Key, Delete: true}) {
					return
				}
			}
		}
		for i := range items {
			if !yield(put(&items[i])) {
				return
			}
		}
		for _, rest := range p.Deleted {
			if !c.rule.excludes(rest) && !yield(Op{Key: to + rest, Delete: true}) {
				return
			}
		}
	}
}

// write carries out operations, with how far the copy has come then.
func (c *copier) write(ctx context.Context, next Progress, ops []Op, size int) error {
	az, err := c.Resolve(ctx, c.feed.WriteToken)
	if err != nil {
		return fmt.Errorf("write_token: %w", err)
	}
	deleted := 0
	for i := range ops {
		if err := acl.Require(az, acl.Key, ops[i].Key, acl.Write); err != nil {
			return fmt.Errorf("write_token: %w", err)
		}
		if ops[i].Delete {
			deleted++
		}
	}
	if err := c.pace.wait(ctx, len(ops), size); err != nil {
		return err
	}
	answer, err := c.Log.Apply(ctx, &Batch{Seen: c.row.ModifyIndex, Next: next, Ops: ops})
	if err != nil {
		return err
	}
	written := answer.(uint64)
	if written == 0 {
		return errSuperseded
	}
	next.ModifyIndex = written
	c.row, c.now, c.noted = next, next, time.Now()
	c.account.wrote(&next, len(ops)-deleted, deleted)
	c.Counts.Written.Add(float64(len(ops) - deleted))
	c.Counts.Deleted.Add(float64(deleted))
	return nil
}
