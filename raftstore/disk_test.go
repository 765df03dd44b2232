package raftstore

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lictor/kv"
	"lictor/state"
)

// A server whose disk hangs says so to whoever writes, answers readers, and goes on when the disk does.
func TestDiskHangs(t *testing.T) {
	var hang atomic.Bool
	release := make(chan struct{})
	n := open(t, func(c *Config) {
		c.patience = 50 * time.Millisecond
		c.reached = func(step string) error {
			if step == "store" && hang.Load() {
				<-release
			}
			return nil
		}
	})
	defer n.Stop()
	put(t, n, "a", "1")
	hang.Store(true)
	first := make(chan error, 1)
	go func() {
		_, err := n.Apply(t.Context(), &kv.Put{Key: "a", Value: []byte("2")})
		first <- err
	}()
	until(t, func() bool { return n.writable() != nil })
	begin := time.Now()
	if _, err := n.Apply(t.Context(), &kv.Put{Key: "b"}); err == nil || time.Since(begin) > time.Second {
		t.Errorf("a write: %v", err)
	}
	if _, err := n.Fresh(t.Context(), state.ReadOptions{}); err != nil {
		t.Errorf("a read of a server that is alone: %v", err)
	}
	if _, err := n.dialer(t.Context(), "other", "127.0.0.1:1"); err == nil {
		t.Error("it still speaks to others")
	}
	hang.Store(false)
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the write that hung: %v", err)
	}
	until(t, func() bool { return n.writable() == nil })
	put(t, n, "b", "1")
}

// until waits for a condition.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
		time.Sleep(time.Millisecond)
	}
}

// A leader whose disk hangs is followed by one whose disk does not, and nothing that was acknowledged is lost.
func TestLeaderWithAHangingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Value
		hangs.Store("")
		release := make(chan struct{})
		c := newCluster(t, func(conf *Config) {
			id := conf.ID
			conf.reached = func(string) error {
				if hangs.Load() == id {
					<-release
				}
				return nil
			}
		}, "a", "b", "c")
		old := c.elected()
		c.put("key", "1")
		hangs.Store(old.ID)
		begin := time.Now()
		under := make(chan error, 1)
		go func() {
			_, err := old.Apply(t.Context(), &kv.Put{Key: "key", Value: []byte("2")})
			under <- err
		}()
		c.await("another leader", func() bool { l := c.leader(); return l != "" && l != old.ID })
		c.put("key", "3")
		if took := time.Since(begin); took > 8*time.Second {
			t.Errorf("a leader that hangs stays for %s", took)
		}
		if got, err := old.fresh(state.Default, "key"); err == nil {
			t.Errorf("it reads %s", got)
		}
		hangs.Store("")
		close(release)
		if err := <-under; err == nil {
			t.Error("a write that no quorum has is acknowledged")
		}
		c.equal()
		if got := value(old.Node, "key"); got != "3" {
			t.Errorf("key is %s", got)
		}
	})
}

// A leader whose disk fails acknowledges nothing, says so, and leaves the lead to others.
func TestLeaderWithAFailingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("no space left on device")
		var fails atomic.Value
		fails.Store("")
		c := newCluster(t, func(conf *Config) {
			id := conf.ID
			conf.reached = func(string) error {
				if fails.Load() == id {
					return full
				}
				return nil
			}
		}, "a", "b", "c")
		old := c.elected()
		c.put("key", "1")
		fails.Store(old.ID)
		_, err := old.Apply(t.Context(), &kv.Put{Key: "key", Value: []byte("2")})
		if !errors.Is(err, full) {
			t.Errorf("got %v", err)
		}
		begin := time.Now()
		c.put("key", "3")
		if took := time.Since(begin); took > time.Second {
			t.Errorf("no leader for %s", took)
		}
		for range 30 {
			time.Sleep(time.Second)
			if c.leader() == old.ID {
				t.Fatal("a server that cannot write leads")
			}
		}
		fails.Store("")
		c.equal()
		l := c.elected() // all disks fail, and recover
		for _, id := range []string{"a", "b", "c"} {
			fails.Store(id)
			_, _ = l.Apply(t.Context(), &kv.Put{Key: "key", Value: []byte("4")})
		}
		fails.Store("")
		c.equal()
	})
}

func TestFailingDiskOfAServerThatIsAlone(t *testing.T) {
	var fails atomic.Bool
	full := errors.New("no space left on device")
	n := open(t, func(c *Config) {
		c.Lead = nil
		c.reached = func(step string) error {
			if step == "store" && fails.Load() {
				return full
			}
			return nil
		}
	})
	defer n.Stop()
	until(t, n.Leads)
	put(t, n, "a", "1")
	fails.Store(true)
	if _, err := n.Apply(t.Context(), &kv.Put{Key: "a", Value: []byte("2")}); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	fails.Store(false)
	until(t, func() bool { _, err := n.Apply(t.Context(), &kv.Put{Key: "a", Value: []byte("3")}); return err == nil })
}
