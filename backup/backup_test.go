package backup_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lictor/backup"
	"lictor/state"
)

// both runs a test with each kind of store.
func both(t *testing.T, test func(t *testing.T, store backup.Store)) {
	t.Run("directory", func(t *testing.T) { test(t, backup.Directory(t.TempDir())) })
	t.Run("bucket", func(t *testing.T) {
		_, s := startS3(t)
		test(t, openBucket(t, s.URL, secretKey))
	})
}

func newJob(store backup.Store) *backup.Job {
	return &backup.Job{Store: store, Cluster: "c1", Retain: 2,
		Save: func(_ context.Context, w io.Writer) (uint64, error) {
			_, err := io.WriteString(w, "good")
			return 7, err
		},
		Verify: func(r io.Reader) (uint64, error) {
			if b, err := io.ReadAll(r); err != nil || string(b) != "good" {
				return 0, errors.New("damaged")
			}
			return 7, nil
		}}
}

func names(t *testing.T, store backup.Store) string {
	t.Helper()
	all, err := store.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func put(t *testing.T, store backup.Store, name string) {
	t.Helper()
	if _, err := store.Put(t.Context(), name, func(w io.Writer) error { _, err := io.WriteString(w, "good"); return err }); err != nil {
		t.Fatal(err)
	}
}

// Only this cluster's archives go, the oldest first, and never the one that was just made, even if others claim to be
// of the future.
func TestRetention(t *testing.T) {
	both(t, func(t *testing.T, store backup.Store) {
		strangers := []string{"consul-c2-20200101T000000.000Z.snap", "consul-c1-notes.snap", "consul-c1-20200101T000000.000Z.txt", "mine"}
		own := []string{"consul-c1-20200101T000000.000Z.snap", "consul-c1-20210101T000000.000Z.snap", "consul-c1-29990101T000000.000Z.snap"}
		for _, name := range append(strangers, own...) {
			put(t, store, name)
		}
		last, err := newJob(store).Run(t.Context())
		if err != nil || last.Index != 7 || last.Size != 4 {
			t.Fatalf("%+v, %v", last, err)
		}
		have := names(t, store)
		for _, name := range append(strangers, last.Name, own[2]) {
			if !strings.Contains(have, name) {
				t.Errorf("%s is gone: %s", name, have)
			}
		}
		for _, name := range own[:2] {
			if strings.Contains(have, name) {
				t.Errorf("%s is still there", name)
			}
		}
	})
}

// What comes back damaged is no archive, is removed, and costs no older one.
func TestDamageIsFound(t *testing.T) {
	both(t, func(t *testing.T, store backup.Store) {
		old := "consul-c1-20200101T000000.000Z.snap"
		put(t, store, old)
		job := newJob(store)
		job.Retain = 1
		job.Save = func(_ context.Context, w io.Writer) (uint64, error) {
			_, err := io.WriteString(w, "bad")
			return 7, err
		}
		if last, err := job.Run(t.Context()); err == nil || last != nil {
			t.Errorf("%+v, %v", last, err)
		}
		job.Save = func(_ context.Context, w io.Writer) (uint64, error) {
			_, err := io.WriteString(w, "good")
			return 8, err
		}
		if last, err := job.Run(t.Context()); err == nil || last != nil {
			t.Errorf("another index: %+v, %v", last, err)
		}
		if have := names(t, store); have != old {
			t.Errorf("there is %q", have)
		}
	})
}

// An archive takes the static name when it is known to be good, and not before.
func TestStaticName(t *testing.T) {
	both(t, func(t *testing.T, store backup.Store) {
		job := newJob(store)
		job.Static = "latest.snap"
		mine := []string{"latest.snap.new.txt", "latest.snap.old"}
		left := "latest.snap.new.20200101T000000.000Z.snap" // by an end in the middle
		for _, name := range append(mine, left) {
			put(t, store, name)
		}
		for range 2 {
			if last, err := job.Run(t.Context()); err != nil || last.Name != "latest.snap" || last.Size != 4 {
				t.Fatalf("%+v, %v", last, err)
			}
		}
		job.Save = func(_ context.Context, w io.Writer) (uint64, error) {
			_, err := io.WriteString(w, "bad")
			return 7, err
		}
		if last, err := job.Run(t.Context()); err == nil || last != nil {
			t.Errorf("damaged: %+v, %v", last, err)
		}
		if have := names(t, store); have != "latest.snap "+strings.Join(mine, " ") {
			t.Errorf("there is %q", have)
		}
		r, err := store.Open(t.Context(), "latest.snap")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if b, err := io.ReadAll(r); err != nil || string(b) != "good" {
			t.Errorf("the archive is %q, %v", b, err)
		}
	})
}

// A stiff store renames nothing.
type stiff struct{ backup.Store }

func (stiff) Rename(context.Context, string, string) error { return errors.New("no copies today") }

// What is good and cannot take the static name stays under its first one, and the one before stays, too.
func TestStaticNameThatCannotBeTaken(t *testing.T) {
	both(t, func(t *testing.T, store backup.Store) {
		put(t, store, "latest.snap")
		job := newJob(stiff{store})
		job.Static = "latest.snap"
		for range 2 {
			if last, err := job.Run(t.Context()); err == nil || last != nil {
				t.Fatalf("%+v, %v", last, err)
			}
		}
		if have := strings.Fields(names(t, store)); len(have) != 2 || have[0] != "latest.snap" || !strings.HasPrefix(have[1], "latest.snap.new.2") {
			t.Errorf("there is %q", have)
		}
	})
}

func TestDirectoryIsPrivateAndTidy(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "consul-c1-20200101T000000.000Z.snap.tmp-1")
	for _, name := range []string{left, filepath.Join(dir, "other.snap.tmp-1")} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	last, err := newJob(backup.Directory(dir)).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, last.Name)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if have := names(t, backup.Directory(dir)); have != last.Name+" other.snap.tmp-1" {
		t.Errorf("there is %q", have)
	}
}

func TestDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		at := func(d time.Duration) *backup.Last { return &backup.Last{Time: now.Add(d).UnixNano()} }
		for _, c := range []struct {
			last *backup.Last
			want time.Duration
		}{{nil, 0}, {at(-2 * time.Hour), -time.Hour}, {at(-time.Minute), 59 * time.Minute}, {at(24 * time.Hour), time.Hour}} {
			if got := backup.Due(c.last, time.Hour, now).Sub(now); got != c.want {
				t.Errorf("%+v: due in %s, want %s", c.last, got, c.want)
			}
		}
	})
}

func TestNotesDoNotGoBack(t *testing.T) {
	log, err := state.NewLocal(1, backup.Tables()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{5, 9, 7} {
		if _, err := log.Apply(t.Context(), &backup.Note{Last: backup.Last{Name: "a", Time: at}}); err != nil {
			t.Fatal(err)
		}
	}
	if last := backup.Newest(log.DB().Read()); last.Time != 9 {
		t.Errorf("the last one is of %d", last.Time)
	}
}
