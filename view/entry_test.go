package view

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lictor/acl"
	"lictor/kv"
	"lictor/rpc"
	"lictor/state"
)

func bare(t *testing.T, eval Evaluator[kv.Get, []*kv.Entry]) (*Views, *state.Local, func(index uint64) (Answer[[]*kv.Entry], error)) {
	log, err := state.NewLocal(10, kv.Tables()...)
	if err != nil {
		t.Fatal(err)
	}
	v := New(Config{Log: log, Datacenter: "dc1"})
	t.Cleanup(v.Stop)
	Handle(v, rpc.Query[kv.Get, []*kv.Entry]{Name: "Q"}, eval)
	return v, log, func(index uint64) (Answer[[]*kv.Entry], error) {
		return Read(context.Background(), v, rpc.Query[kv.Get, []*kv.Entry]{Name: "Q"}, &Options{MinIndex: index, Wait: 5 * time.Second}, kv.Get{Key: "a"})
	}
}

// A result that is forgotten while somebody is about to evaluate it anew does not count for ever.
func TestForgottenResultsDoNotCount(t *testing.T) {
	s := &kv.Service{}
	v, log, read := bare(t, s.Get)
	log.Apply(t.Context(), &kv.Put{Key: "a", Value: make([]byte, 1000)})
	read(0)
	found, _ := v.entries.Load(key{"Q", "", "", kv.Get{Key: "a"}})
	e := found.(*entry) // a reader looks it up,
	e.forget()          // it is trimmed,
	log.Apply(t.Context(), &kv.Put{Key: "a", Value: make([]byte, 2000)})
	r, err := e.fresh() // and the reader goes on
	if err != nil {
		t.Fatal(err)
	}
	r.JSON()
	if n, bytes := v.Size(); n != 0 || bytes != 0 {
		t.Errorf("%d results of %d bytes", n, bytes)
	}
}

// A failure finds those who wait for the newest result, whoever evaluated that.
func TestFailureAfterAnotherReadersEvaluation(t *testing.T) {
	var fail atomic.Bool
	var once sync.Once
	var hook atomic.Pointer[func()]
	s := &kv.Service{}
	_, log, read := bare(t, func(tx *state.Tx, az acl.Authorizer, q *kv.Get) ([]*kv.Entry, uint64, error) {
		if h := hook.Load(); h != nil {
			once.Do(*h)
		} else if fail.Load() {
			return nil, 0, errors.New("broken")
		}
		return s.Get(tx, az, q)
	})
	log.Apply(t.Context(), &kv.Put{Key: "a", Value: []byte("1")})
	r, _ := read(0)
	done := make(chan error, 1)
	go func() { _, err := read(r.Index()); done <- err }()
	time.Sleep(50 * time.Millisecond)
	h := func() { // while one evaluates, the state changes again, and from then on evaluations fail
		time.Sleep(50 * time.Millisecond) // the goroutine that watches comes to the lock
		log.Apply(context.Background(), &kv.Put{Key: "a", Value: []byte("3")})
		fail.Store(true)
		hook.Store(nil)
	}
	hook.Store(&h)
	log.Apply(t.Context(), &kv.Put{Key: "a", Value: []byte("2")})
	read(0)
	if err := <-done; err != nil {
		t.Log(err)
	}
}
