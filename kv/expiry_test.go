package kv_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lictor/acl"
	"lictor/kv"
	"lictor/state"
)

// A keeper is a service on a log, on the server that leads.
type keeper struct {
	*kv.Service
	t   *testing.T
	log *state.Local
	end func()
}

func lead(t *testing.T, log *state.Local) *keeper {
	e := kv.NewExpiry(log, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); e.Run(ctx) }()
	synctest.Wait()
	return &keeper{&kv.Service{Log: log, Expiry: e}, t, log, func() { cancel(); <-done }}
}

func (k *keeper) put(p kv.Put) bool {
	k.t.Helper()
	done, err := k.Put(k.t.Context(), acl.AllowAll(), &p)
	if err != nil {
		k.t.Fatal(err)
	}
	return done
}

// after tells which keys are there when some time has passed.
func (k *keeper) after(d time.Duration) string {
	time.Sleep(d)
	synctest.Wait()
	var keys []string
	for e := range kv.Entries.All(k.log.DB().Read()) {
		keys = append(keys, e.Key)
	}
	return strings.Join(keys, " ")
}

func TestKeysEndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		k := lead(t, log)
		defer k.end()
		k.put(kv.Put{Key: "ever"})
		k.put(kv.Put{Key: "freed", TTL: "10s"})
		k.put(kv.Put{Key: "kept", TTL: "10s"})
		k.put(kv.Put{Key: "lost", TTL: "10s"})
		tx := log.DB().Read()
		if found, _, err := k.Get(tx, acl.AllowAll(), &kv.Get{Key: "lost"}); err != nil || len(found) != 1 || found[0].TTL != "10s" {
			t.Fatalf("%+v, %v", found, err)
		}
		time.Sleep(8 * time.Second)
		k.put(kv.Put{Key: "freed"})            // without a TTL it stays
		k.put(kv.Put{Key: "kept", TTL: "10s"}) // the same again begins anew
		if k.put(kv.Put{Key: "lost", TTL: "10s", CAS: true, Index: 1}) {
			t.Fatal("written at another index")
		}
		if got := k.after(2*time.Second - 1); got != "ever freed kept lost" || tx.Watch().Fired() {
			t.Errorf("before the time: %s", got)
		}
		if got := k.after(1); got != "ever freed kept" {
			t.Errorf("after it: %s", got)
		}
		if !tx.Watch().Fired() || kv.Tombstones.Get(log.DB().Read(), "lost") == nil {
			t.Error("nobody was told")
		}
		if got := k.after(8*time.Second - 1); got != "ever freed kept" {
			t.Errorf("before its second time: %s", got)
		}
		if got := k.after(time.Hour); got != "ever freed" {
			t.Errorf("at the end: %s", got)
		}
	})
}

// A new leader, and a state that was restored, give each key its whole time again.
func TestKeysOutliveLeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		k := lead(t, log)
		k.put(kv.Put{Key: "a", TTL: "30s"})
		time.Sleep(29 * time.Second)
		k.end()
		k = lead(t, log)
		if got := k.after(30*time.Second - 1); got != "a" {
			t.Errorf("too early: %q", got)
		}
		var snapshot bytes.Buffer
		if _, err := log.DB().Snapshot().WriteTo(&snapshot); err != nil {
			t.Fatal(err)
		}
		if got := k.after(1); got != "" {
			t.Errorf("too late: %q", got)
		}
		if err := log.DB().Restore(&snapshot); err != nil {
			t.Fatal(err)
		}
		if got := k.after(29 * time.Second); got != "a" {
			t.Errorf("too early after a restore: %q", got)
		}
		if got := k.after(15 * time.Second); got != "" {
			t.Errorf("too late after a restore: %q", got)
		}
		k.end()
	})
}

// What was written after its time was over, but before the command came, stays.
func TestExpireSparesWhatHasChanged(t *testing.T) {
	log := newLog(t)
	apply(t, log, &kv.Put{Key: "a", TTL: "1s"})
	apply(t, log, &kv.Put{Key: "a", TTL: "1s"})
	apply(t, log, &kv.Put{Key: "b"})
	expire := &kv.Expire{Keys: []kv.Expired{{Key: "a", Index: 10}, {Key: "b", Index: 12}, {Key: "c", Index: 1}}}
	if _, err := log.Apply(t.Context(), expire); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b"} {
		if e, _ := get(t, log, key); e == nil {
			t.Errorf("%s is gone", key)
		}
	}
}

func TestCheckTTL(t *testing.T) {
	for text, good := range map[string]bool{"": true, "1s": true, "24h": true, "999ms": false, "24h1ns": false, "-5s": false, "5": false, "x": false} {
		err := kv.CheckTTL(text)
		if (err == nil) != good || err != nil && !strings.Contains(err.Error(), "ttl") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	log := newLog(b)
	value := make([]byte, 64)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		value[0], value[1] = byte(i), byte(i>>8)
		if _, err := log.Apply(context.Background(), &kv.Put{Key: "bench/key", Value: value}); err != nil {
			b.Fatal(err)
		}
	}
}
