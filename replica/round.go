package replica

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lictor/state"
)

// A difference is what has to be done for one kind.
type difference[Z any] struct {
	kind Kind[Z]
	*following
	index   uint64            // of the listing
	next    map[string]string // what known is to be, as far as it has been written
	changed []Row
	digests map[string]string // of changed, in the listing
	gone    []string
	held    bool // the owner has changed a row since it was listed
}

// copy writes what differs from a listing. Rows are written after those that they may name, and removed before them; those of
// the last kind, which nothing names, are removed first of all, as that takes rights away. If a kind cannot be had, those before
// it are copied all the same.
func (c *Copier[Z]) copy(ctx context.Context, list *Listing) error {
	all, failed := c.compare(ctx, list)
	err := c.write(ctx, all, failed == nil)
	if err != nil {
		c.forget()
		return err
	}
	return failed
}

// compare finds the differences, kind by kind, up to the first kind that cannot be had.
func (c *Copier[Z]) compare(ctx context.Context, list *Listing) ([]*difference[Z], error) {
	tx := c.Log.DB().Read().Unwatched()
	var all []*difference[Z]
	for i, k := range c.Kinds {
		d := &difference[Z]{kind: k, following: c.following[i], index: list.Kinds[i].Index, digests: map[string]string{}}
		all = append(all, d)
		if list.Kinds[i].Same {
			d.next = d.known
			continue
		}
		if d.next = maps.Clone(d.known); d.next == nil {
			d.next = k.digests(tx)
		}
		if err := c.difference(ctx, tx, d, list.Kinds[i].Stubs); err != nil {
			d.known = nil
			return all[:i], fmt.Errorf("%s: %w", k.name(), err)
		}
	}
	return all, nil
}

// difference finds what differs from the stubs, and has the rows sent.
func (c *Copier[Z]) difference(ctx context.Context, tx *state.Tx, d *difference[Z], stubs []Stub) error {
	there := make(map[string]bool, len(stubs))
	var wanted []string
	for _, s := range stubs {
		there[s.Key] = true
		if d.next[s.Key] != string(s.Digest) {
			wanted = append(wanted, s.Key)
			d.digests[s.Key] = string(s.Digest)
		}
	}
	for key := range d.next {
		if !there[key] {
			d.gone = append(d.gone, key)
		}
	}
	slices.Sort(d.gone)
	for len(wanted) > 0 {
		n := min(len(wanted), batchRows)
		if err := c.fetch(ctx, tx, d, wanted[:n]); err != nil {
			return err
		}
		wanted = wanted[n:]
	}
	return nil
}

// fetch has some rows sent. Those that are not as they were listed are held back, and with them what may name them.
func (c *Copier[Z]) fetch(ctx context.Context, tx *state.Tx, d *difference[Z], keys []string) error {
	if err := c.batches.Wait(ctx); err != nil {
		return err
	}
	sent, err := FetchMethod.Call(ctx, c.Caller, c.Header(), &Selection{d.kind.name(), keys})
	if err != nil {
		return err
	}
	var fit []Row
	for _, row := range sent.Rows {
		if d.digests[row.Key] == string(row.Digest) {
			fit = append(fit, row)
		}
	}
	d.held = d.held || len(fit) < len(keys)
	left, err := d.kind.changed(tx, fit)
	if err != nil {
		return err
	}
	for _, row := range fit {
		d.next[row.Key] = d.digests[row.Key] // once left is written
	}
	d.changed = append(d.changed, left...)
	return nil
}

// write writes the differences. What is held back stops it, without an error, until the next round.
func (c *Copier[Z]) write(ctx context.Context, all []*difference[Z], complete bool) error {
	if complete {
		if err := c.remove(ctx, all[len(all)-1]); err != nil {
			return err
		}
	}
	for _, d := range all {
		if err := c.put(ctx, d); err != nil {
			return err
		}
		if d.held {
			d.known = d.next
			return nil
		}
	}
	for i := len(all) - 1; i >= 0; i-- {
		if err := c.remove(ctx, all[i]); err != nil {
			return err
		}
		all[i].at, all[i].known = all[i].index, all[i].next
	}
	return nil
}

// put writes the rows that have changed.
func (c *Copier[Z]) put(ctx context.Context, d *difference[Z]) error {
	for rows := d.changed; len(rows) > 0; {
		n, size := 0, 0
		for n < len(rows) && n < batchRows && (n == 0 || size+len(rows[n].Body) <= batchBytes) {
			size += len(rows[n].Body)
			n++
		}
		if err := c.apply(ctx, d.kind, rows[:n], nil); err != nil {
			return err
		}
		rows = rows[n:]
	}
	d.changed = nil
	return nil
}

// remove removes the rows that are gone.
func (c *Copier[Z]) remove(ctx context.Context, d *difference[Z]) error {
	for len(d.gone) > 0 {
		n := min(len(d.gone), batchRows)
		if err := c.apply(ctx, d.kind, nil, d.gone[:n]); err != nil {
			return err
		}
		for _, key := range d.gone[:n] {
			delete(d.next, key)
		}
		d.gone = d.gone[n:]
	}
	return nil
}

// apply writes one batch. Commands answer the names of what they could not write.
func (c *Copier[Z]) apply(ctx context.Context, k Kind[Z], rows []Row, gone []string) error {
	if err := c.batches.Wait(ctx); err != nil {
		return err
	}
	cmd, err := k.command(rows, gone)
	if err != nil {
		return fmt.Errorf("%s: %w", k.name(), err)
	}
	answer, err := c.Log.Apply(ctx, cmd)
	if err != nil {
		return err
	}
	if refused, _ := answer.([]string); len(refused) > 0 {
		return fmt.Errorf("%s: rows of this datacenter alone are in the way of %s", k.name(), strings.Join(refused, ", "))
	}
	return nil
}
