package coordinate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"lictor/state"
)

// Batching says how places are collected before they are written. A zero field means its default.
type Batching struct {
	Period     time.Duration // 5 s
	Size       int           // places in one write: 128
	MaxBatches int           // writes in one period: 5; what is beyond is dropped, for it comes again
}

func (b Batching) filled() Batching {
	b.Period = cmp.Or(b.Period, 5*time.Second)
	b.Size = cmp.Or(b.Size, 128)
	b.MaxBatches = cmp.Or(b.MaxBatches, 5)
	return b
}

// A Batcher writes the places that agents report in batches, so that what costs the cluster does not grow with each of
// them. It belongs to the leader. Places are lost when it stops; agents report them again.
type Batcher struct {
	cfg    Batching
	log    state.Log
	known  func(tx *state.Tx, node string) bool
	report func(error)

	mu      sync.Mutex // guards what follows
	pending map[string]*Entry
	dropped int
}

// NewBatcher makes a Batcher. Known tells whether a node is in the catalog; nil knows all. Report is told, at most once a
// period, that places were dropped or not written; nil does not hear it.
func NewBatcher(log state.Log, cfg Batching, known func(tx *state.Tx, node string) bool, report func(error)) *Batcher {
	if report == nil {
		report = func(error) {}
	}
	return &Batcher{cfg: cfg.filled(), log: log, known: known, report: report, pending: map[string]*Entry{}}
}

// Update takes a place to write within the period, in the place of an earlier one of the same node. It does not block.
func (b *Batcher) Update(e *Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := key(e.Node) + e.Segment
	if _, known := b.pending[id]; !known && len(b.pending) >= b.cfg.Size*b.cfg.MaxBatches {
		b.dropped++
		return
	}
	b.pending[id] = e
}

// Run writes what has come at the end of each period, until the context ends.
func (b *Batcher) Run(ctx context.Context) {
	ticker := time.NewTicker(b.cfg.Period)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := b.flush(ctx); err != nil && ctx.Err() == nil {
				b.report(err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// flush writes what is pending. After the first write that fails the others are not tried.
func (b *Batcher) flush(ctx context.Context) error {
	news, dropped := b.take()
	for batch := range slices.Chunk(news, b.cfg.Size) {
		if _, err := b.log.Apply(ctx, &BatchUpdate{Entries: batch}); err != nil {
			return fmt.Errorf("write the coordinates of %d nodes: %w", len(news), err)
		}
	}
	if dropped > 0 {
		return fmt.Errorf("%d coordinates were dropped: more came in %s than %d", dropped, b.cfg.Period, b.cfg.Size*b.cfg.MaxBatches)
	}
	return nil
}

// take empties the queue and returns, in the order of their keys, the places that are news of nodes in the catalog.
func (b *Batcher) take() (news []*Entry, dropped int) {
	b.mu.Lock()
	pending := b.pending
	dropped, b.dropped, b.pending = b.dropped, 0, map[string]*Entry{}
	b.mu.Unlock()
	if len(pending) == 0 {
		return nil, dropped
	}
	tx := b.log.DB().Read()
	for _, e := range pending {
		if (b.known == nil || b.known(tx, e.Node)) && !stored(tx, e) {
			news = append(news, e)
		}
	}
	slices.SortFunc(news, func(x, y *Entry) int {
		return cmp.Or(strings.Compare(key(x.Node), key(y.Node)), strings.Compare(x.Segment, y.Segment))
	})
	return news, dropped
}
