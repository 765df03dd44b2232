package raftstore

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// A fakeFuture is answered when its channel is closed.
type fakeFuture struct {
	answered chan struct{}
	err      error
	response any
}

func (f *fakeFuture) Error() error  { <-f.answered; return f.err }
func (f *fakeFuture) Response() any { return f.response }
func (f *fakeFuture) Index() uint64 { return 0 }

func TestGatheringAnswersEachCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := errors.New("bad")
		put := func(entry []byte, wait time.Duration) raft.ApplyFuture {
			f := &fakeFuture{answered: make(chan struct{}), response: string(entry)}
			if entry[0] == '7' {
				f.err = bad
			}
			time.AfterFunc(time.Second, func() { close(f.answered) })
			return f
		}
		g := newGathering(put, func() bool { return false })
		done := make(chan struct{})
		go func() { g.follow(); close(done) }()
		var callers sync.WaitGroup
		for i := range 100 {
			callers.Go(func() {
				entry := fmt.Sprint(i)
				answer, err := g.apply([]byte(entry), time.Time{})
				switch entry[0] {
				case '7':
					if !errors.Is(err, bad) || answer != nil {
						t.Errorf("%s: %v, %v", entry, answer, err)
					}
				default:
					if err != nil || answer != entry {
						t.Errorf("%s: %v, %v", entry, answer, err)
					}
				}
			})
		}
		callers.Wait()
		g.stop()
		<-done
	})
}

// Who comes while another one lets the others come is put before Raft together with that one.
func TestGatheringGathers(t *testing.T) {
	var entries []string
	f := &fakeFuture{answered: make(chan struct{})}
	close(f.answered)
	g := newGathering(func(entry []byte, _ time.Duration) raft.ApplyFuture {
		entries = append(entries, string(entry))
		return f
	}, func() bool { return false })
	for _, entry := range []string{"a", "b", "c"} {
		g.waiting = append(g.waiting, &submission{entry: []byte(entry), done: make(chan struct{}, 1)})
	}
	g.submit()
	if followed := <-g.followed; len(followed) != 2 || fmt.Sprint(entries) != "[a b c]" || g.waiting != nil {
		t.Errorf("%v were put, %d are followed", entries, len(followed))
	}
}

// An entry that finds no place in Raft's queue until its deadline was certainly not written.
func TestGatheringGivesUpAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy, puts := false, 0
		g := newGathering(func(_ []byte, wait time.Duration) raft.ApplyFuture {
			puts++
			if busy != (wait == time.Second) {
				t.Errorf("waits for a place for %v", wait)
			}
			f := &fakeFuture{answered: make(chan struct{})}
			close(f.answered)
			return f
		}, func() bool { return busy })
		now := time.Now()
		if _, err := g.apply(nil, now.Add(time.Second)); err != nil {
			t.Error(err)
		}
		busy = true
		if _, err := g.apply(nil, now.Add(time.Second)); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if _, err := g.apply(nil, now.Add(time.Second)); !errors.Is(err, raft.ErrEnqueueTimeout) {
			t.Errorf("too late: %v", err)
		}
		if puts != 2 {
			t.Errorf("%d were put before Raft", puts)
		}
	})
}
