// Package backup makes archives of the state on a schedule, puts them where they are to be kept, reads each back and
// forgets old ones. It knows names, destinations and when the next one is due; it does not know what is in an archive,
// who leads, or how anybody is told.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"lictor/state"
)

//msgp:ignore Job Archive
//go:generate go tool msgp -o backup_gen.go -tests=false -io=false

// A Last is the newest archive that was found good when it was read back.
type Last struct {
	Name  string // at the destination
	Time  int64  // when it was begun, ns since 1970
	Index uint64 // of the state in it
	Size  int64  // bytes
}

// When tells when the archive was begun.
func (l *Last) When() time.Time { return time.Unix(0, l.Time) }

// lastTable has one row, once there is an archive.
var lastTable = state.NewTable("backup", func(*Last) string { return state.Key("last") })

// Tables lists the package's tables.
func Tables() []state.AnyTable { return []state.AnyTable{lastTable} }

// Newest is the newest good archive that the cluster knows of, or nil.
func Newest(tx *state.Tx) *Last { return lastTable.Get(tx, state.Key("last")) }

// A Note remembers the newest good archive, so that the next leader knows when the next one is due.
type Note struct{ Last Last }

// Apply answers nothing. A note that is older than the last one changes nothing.
func (n *Note) Apply(tx *state.Tx) (any, error) {
	if old := Newest(tx); old == nil || old.Time < n.Last.Time {
		last := n.Last
		lastTable.Insert(tx, &last)
	}
	return nil, nil
}

// Due is when the next archive is due. A last one that comes from the future, as the clock of another leader may have
// had it, counts as of now.
func Due(last *Last, interval time.Duration, now time.Time) time.Time {
	switch {
	case last == nil:
		return now
	case last.When().After(now):
		return now.Add(interval)
	}
	return last.When().Add(interval)
}

// A Store is where archives are kept. Names have no slash.
type Store interface {
	// Put writes an archive under a name, whole or not at all, and returns its size. write streams it.
	Put(ctx context.Context, name string, write func(io.Writer) error) (int64, error)
	// Open reads an archive. The caller closes it.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// List names what begins with a prefix.
	List(ctx context.Context, prefix string) ([]string, error)
	// Rename gives an archive another name, in place of the archive that has had it. If that fails, the archive keeps its name,
	// and the other one is there as it was or replaced as a whole.
	Rename(ctx context.Context, from, to string) error
	// Remove deletes an archive.
	Remove(ctx context.Context, name string) error
}

// A tidier is a Store that may keep parts of what was never written to its end.
type tidier interface {
	// Tidy removes such parts, where they are old, of what isName says is an archive's name. It does what it can.
	Tidy(ctx context.Context, isName func(string) bool)
}

// A Job makes one archive.
type Job struct {
	Store   Store
	Cluster string // id, which is part of the names
	Static  string // the name of every archive once it is known to be good; "" gives each its own
	Retain  int    // archives of this cluster to keep, at least 1
	// Save streams an archive and returns the index of its state.
	Save func(ctx context.Context, w io.Writer) (uint64, error)
	// Verify reads an archive to its end, and returns the index of its state if nothing is wrong with it.
	Verify func(r io.Reader) (uint64, error)
}

const (
	namePrefix = "consul-"
	nameSuffix = ".snap"
	nameTime   = "20060102T150405.000Z"
	staticMark = ".new." // between the static name and when the archive was begun, until it is known to be good
)

// prefix is what the names of a cluster's archives begin with.
func prefix(cluster string) string { return namePrefix + cluster + "-" }

// nameOf names an archive such that names sort by time.
func nameOf(before string, at time.Time) string {
	return before + at.UTC().Format(nameTime) + nameSuffix
}

// isNameOf tells whether nameOf has made a name.
func isNameOf(before, name string) bool {
	rest, ok := strings.CutPrefix(name, before)
	stamp, whole := strings.CutSuffix(rest, nameSuffix)
	_, err := time.Parse(nameTime, stamp)
	return ok && whole && err == nil
}

// Run makes an archive, reads it back whole, and then removes the oldest ones. If it fails, older archives are untouched
// and what was written of this one is removed. A failure to remove old ones is told with an archive that is good.
//
// With a static name the archive takes that name after it was read back, and so never the place of a good one before. Good
// under its first name it stays there if it cannot be renamed.
func (j *Job) Run(ctx context.Context) (*Last, error) {
	begun := time.Now()
	before, retain := prefix(j.Cluster), max(j.Retain, 1)
	if j.Static != "" {
		before, retain = j.Static+staticMark, 1
	}
	last := &Last{Name: nameOf(before, begun), Time: begun.UnixNano()}
	size, err := j.Store.Put(ctx, last.Name, func(w io.Writer) (err error) {
		last.Index, err = j.Save(ctx, w)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", last.Name, err)
	}
	if last.Size, err = j.check(ctx, last); err == nil && last.Size != size {
		err = fmt.Errorf("%d bytes were written and %d came back", size, last.Size)
	}
	if err != nil {
		j.discard(ctx, last.Name)
		return nil, fmt.Errorf("read %s back: %w", last.Name, err)
	}
	old := j.forget(ctx, before, last.Name, retain)
	if t, ok := j.Store.(tidier); ok {
		t.Tidy(ctx, func(name string) bool { return isNameOf(before, name) })
	}
	if j.Static != "" {
		if err := j.Store.Rename(ctx, last.Name, j.Static); err != nil {
			return nil, errors.Join(fmt.Errorf("rename %s to %s: %w", last.Name, j.Static, err), old)
		}
		last.Name = j.Static
	}
	return last, old
}

// discard removes an archive that is not known to be good.
func (j *Job) discard(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_ = j.Store.Remove(ctx, name) // what is wrong is told already
}

// check reads an archive back from where it is kept.
func (j *Job) check(ctx context.Context, l *Last) (int64, error) {
	r, err := j.Store.Open(ctx, l.Name)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	counted := &counter{from: r}
	index, err := j.Verify(counted)
	if err != nil {
		return 0, err
	}
	if index != l.Index {
		return 0, fmt.Errorf("it is of index %s, not %s", strconv.FormatUint(index, 10), strconv.FormatUint(l.Index, 10))
	}
	_, err = io.Copy(io.Discard, counted)
	return counted.n, err
}

// A counter counts what is read.
type counter struct {
	from io.Reader
	n    int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	return n, err
}

// forget removes the oldest archives whose names begin alike beyond those to keep. The one that was just found good stays,
// even if a clock that was wrong has given others later names.
func (j *Job) forget(ctx context.Context, before, good string, retain int) error {
	all, err := j.Store.List(ctx, before)
	if err != nil {
		return fmt.Errorf("list old archives: %w", err)
	}
	names := slices.DeleteFunc(all, func(name string) bool { return name == good || !isNameOf(before, name) })
	slices.Sort(names)
	for len(names) > retain-1 {
		if err := j.Store.Remove(ctx, names[0]); err != nil {
			return fmt.Errorf("remove old archives: %w", err)
		}
		names = names[1:]
	}
	return nil
}
