package raftstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"lictor/acl"
	"lictor/kv"
	"lictor/rpc"
	"lictor/state"
)

// open starts a node of one server on a port of its own and waits until it leads.
func open(t testing.TB, change func(*Config)) *Node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	led := sync.OnceFunc(func() { close(ready) })
	c := Config{
		ID: "one", Dir: t.TempDir(), Advertise: l.Addr(), Bootstrap: true,
		Dial:        dialTCP,
		SegmentSize: 1 << 20,
		Log:         slog.New(slog.DiscardHandler), RaftLog: hclog.NewNullLogger(),
		Lead: func(_ context.Context, lead func()) { lead(); led() },
	}
	if change != nil {
		change(&c)
	}
	mux := rpc.NewMux(l, c.ID, slog.New(slog.DiscardHandler), rpc.Limits{})
	c.Listener = mux.Protocol(rpc.ProtocolRaft)
	mux.Serve()
	t.Cleanup(func() { mux.Close() })
	n, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	if c.Lead == nil {
		return n
	}
	select {
	case <-ready:
	case <-time.After(10 * time.Second):
		t.Fatal("no leader")
	}
	return n
}

func dialTCP(ctx context.Context, id, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err == nil {
		err = rpc.Greet(conn, rpc.ProtocolRaft, id)
	}
	return conn, err
}

func put(t testing.TB, n *Node, key, value string) {
	t.Helper()
	if _, err := n.Apply(context.Background(), &kv.Put{Key: key, Value: []byte(value)}); err != nil {
		t.Fatal(err)
	}
}

func value(n *Node, key string) string {
	if e := kv.Entries.Get(n.DB().Read(), key); e != nil {
		return string(e.Value)
	}
	return "missing"
}

func content(t *testing.T, n *Node) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := n.DB().Snapshot().WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRestartFromSnapshotAndLog(t *testing.T) {
	for _, backend := range []string{"wal", "boltdb"} {
		t.Run(backend, func(t *testing.T) {
			dir := t.TempDir()
			configure := func(c *Config) { c.Dir, c.Backend = dir, backend }
			n := open(t, configure)
			for i := range 50 {
				put(t, n, fmt.Sprint("before/", i), "1")
			}
			if err := n.Snapshot(); err != nil {
				t.Fatal(err)
			}
			put(t, n, "after", "2")
			want := content(t, n)
			if err := n.Stop(); err != nil {
				t.Fatal(err)
			}
			n = open(t, configure)
			defer n.Stop()
			if !bytes.Equal(want, content(t, n)) {
				t.Error("the state differs after a restart")
			}
			put(t, n, "later", "3")
		})
	}
}

// A new leader that has taken a write answers reads, too, however soon they come.
func TestReadRightAfterTheFirstWrite(t *testing.T) {
	dir := t.TempDir()
	configure := func(c *Config) { c.Dir = dir }
	for range 5 {
		n := open(t, func(c *Config) {
			configure(c)
			c.Lead = nil
		})
		for {
			if _, err := n.Apply(t.Context(), &kv.Put{Key: "a"}); err == nil {
				break
			}
		}
		if _, err := n.Fresh(t.Context(), state.ReadOptions{}); err != nil {
			t.Error(err)
		}
		if err := n.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadsWaitForALeaderThatCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l leadership
		done := make(chan struct{}, 3)
		for range 3 {
			go func() { l.await(t.Context(), 7); done <- struct{}{} }()
		}
		synctest.Wait()
		if len(done) > 0 {
			t.Error("did not wait")
		}
		l.set(7)
		synctest.Wait()
		if len(done) != 3 {
			t.Error("not all woke")
		}
		l.await(t.Context(), 7) // at once
		l.set(0)
		begin := time.Now()
		l.await(t.Context(), 7)
		if time.Since(begin) != catchUpTimeout {
			t.Error("the wait has no bound")
		}
	})
}

func TestWithoutDiskAndAfterStop(t *testing.T) {
	n := open(t, func(c *Config) { c.Dir = "" })
	put(t, n, "a", "1")
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Apply(t.Context(), &kv.Put{Key: "b"}); !errors.Is(err, state.ErrStopped) {
		t.Errorf("a write after the stop: %v", err)
	}
	if _, err := n.Fresh(t.Context(), state.ReadOptions{}); !errors.Is(err, state.ErrNoLeader) {
		t.Errorf("a read after the stop: %v", err)
	}
	if _, err := n.Fresh(t.Context(), state.ReadOptions{Consistency: state.Stale}); err != nil {
		t.Errorf("a stale read after the stop: %v", err)
	}
}

func TestConsistentReadsShareRounds(t *testing.T) {
	n := open(t, nil)
	defer n.Stop()
	done := make(chan error)
	for range 200 {
		go func() {
			_, err := n.Fresh(t.Context(), state.ReadOptions{Consistency: state.Consistent})
			done <- err
		}()
	}
	for range 200 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestRoundBeginsAfterTheCall(t *testing.T) {
	var r rounds[int]
	begun, release := make(chan struct{}), make(chan struct{})
	go r.join(t.Context(), func() (int, error) {
		begun <- struct{}{}
		<-release
		return 1, nil
	})
	<-begun
	joined := make(chan error)
	go func() {
		_, err := r.join(t.Context(), func() (int, error) { return 2, nil })
		joined <- err
	}()
	select {
	case <-joined:
		t.Fatal("joined a round that had begun already")
	case <-time.After(10 * time.Millisecond):
	}
	release <- struct{}{}
	<-begun // the second round, by the function of the first
	release <- struct{}{}
	if err := <-joined; err != nil {
		t.Error(err)
	}
}

func TestSaveAndRestore(t *testing.T) {
	n := open(t, nil)
	defer n.Stop()
	s := &Service{Node: n}
	put(t, n, "a", "1")
	var archive bytes.Buffer
	save := func() {
		archive.Reset()
		index := uint64(0)
		err := s.Save(t.Context(), acl.AllowAll(), state.ReadOptions{}, &archive, func(i uint64, _ state.ReadMeta) { index = i })
		if err != nil || index == 0 {
			t.Fatalf("index %d, %v", index, err)
		}
	}
	save()
	save() // nothing new since
	put(t, n, "a", "2")
	watched := n.DB().Read()
	kv.Entries.Get(watched, "a")
	if _, err := s.Restore(t.Context(), acl.AllowAll(), bytes.NewReader(archive.Bytes())); err != nil {
		t.Fatal(err)
	}
	if got := value(n, "a"); got != "1" {
		t.Errorf("a is %s", got)
	}
	if !watched.Watch().Fired() {
		t.Error("a watcher sleeps on")
	}
	put(t, n, "a", "3")
}

func TestDamagedArchivesChangeNothing(t *testing.T) {
	n := open(t, nil)
	defer n.Stop()
	s := &Service{Node: n}
	put(t, n, "a", "1")
	var archive bytes.Buffer
	if err := s.Save(t.Context(), acl.AllowAll(), state.ReadOptions{}, &archive, func(uint64, state.ReadMeta) {}); err != nil {
		t.Fatal(err)
	}
	put(t, n, "a", "2")
	whole := archive.Bytes()
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 0x40
		_, err := s.Restore(t.Context(), acl.AllowAll(), bytes.NewReader(damaged))
		if got := value(n, "a"); err != nil && got != "2" {
			t.Fatalf("byte %d: refused, and yet a is %s", i, got)
		}
		if err == nil { // a byte that carries nothing, such as a time
			put(t, n, "a", "2")
		}
	}
	for _, cut := range []int{0, 1, len(whole) / 2, len(whole) - 9} {
		if _, err := s.Restore(t.Context(), acl.AllowAll(), bytes.NewReader(whole[:cut])); err == nil {
			t.Errorf("accepted after %d of %d bytes", cut, len(whole))
		}
	}
	if _, err := s.Restore(t.Context(), acl.DenyAll(), bytes.NewReader(whole)); err == nil || !strings.Contains(err.Error(), "acl:write") {
		t.Errorf("without permission: %v", err)
	}
}

// One command that panics is undone and told of; those of its batch stay.
func TestPanicStaysInItsCommand(t *testing.T) {
	n := open(t, nil)
	defer n.Stop()
	future := n.raft.Apply([]byte{1, 0x81, 0xa3, 'K', 'e', 'y', 0xa0}, 0) // a kv.Put without a key: the table refuses it
	put(t, n, "a", "1")
	if err := future.Error(); err != nil {
		t.Fatal(err)
	}
	if answer := future.Response().(applied); answer.err == nil {
		t.Error("no error")
	}
	if got := value(n, "a"); got != "1" {
		t.Errorf("a is %s", got)
	}
}

func TestStorageErrorsNameThePath(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := openStorage(&Config{Dir: file, RaftLog: hclog.NewNullLogger()})
	if err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkApply(b *testing.B) {
	n := open(b, nil)
	defer n.Stop()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			put(b, n, fmt.Sprint("key/", i%1000), "value")
		}
	})
}

// BenchmarkRestart is from the opening of a server with 100,000 writes in its log to the moment at which it leads.
func BenchmarkRestart(b *testing.B) {
	dir := b.TempDir()
	configure := func(c *Config) {
		c.Dir, c.SegmentSize = dir, 0
		c.SnapshotThreshold, c.SnapshotInterval = 1<<40, time.Hour
	}
	n := open(b, configure)
	var writers sync.WaitGroup
	value := strings.Repeat("x", 256)
	for w := range 500 {
		writers.Go(func() {
			for i := range 200 {
				put(b, n, fmt.Sprint("key/", w, "/", i), value)
			}
		})
	}
	writers.Wait()
	for b.Loop() {
		if err := n.Stop(); err != nil {
			b.Fatal(err)
		}
		n = open(b, configure)
	}
	b.StopTimer()
	if err := n.Stop(); err != nil {
		b.Fatal(err)
	}
}

// A client that has sent its request may close its half of the connection, which cancels the request's context.
func TestWriteOutlivesCancellation(t *testing.T) {
	n := open(t, nil)
	defer n.Stop()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Apply(ctx, &kv.Put{Key: "a", Value: []byte("1")}); err != nil {
		t.Error(err)
	}
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err := n.Apply(late, &kv.Put{Key: "b"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
}
