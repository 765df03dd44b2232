package session_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lictor/acl"
	"lictor/catalog"
	"lictor/coordinate"
	"lictor/kv"
	"lictor/session"
	"lictor/state"
)

// A cluster is a log whose commands are followed by the cascade, as on a server, with a session.Service on it.
type cluster struct {
	*session.Service
	log    *state.Local
	delays *session.Delays
	down   atomic.Bool // nothing can be written
}

// cascading is a command with what follows each command on a server.
type cascading struct {
	state.Command
	delays *session.Delays
}

func (c cascading) Apply(tx *state.Tx) (any, error) {
	answer, err := c.Command.Apply(tx)
	session.Cascade(tx)
	c.delays.Note(tx)
	return answer, err
}

func (c *cluster) Apply(ctx context.Context, cmd state.Command) (any, error) {
	if c.down.Load() {
		return nil, state.ErrNoLeader
	}
	return c.log.Apply(ctx, cascading{cmd, c.delays})
}

func (c *cluster) Fresh(ctx context.Context, o state.ReadOptions) (state.ReadMeta, error) {
	return c.log.Fresh(ctx, o)
}

func (c *cluster) DB() *state.DB { return c.log.DB() }

func newCluster(t testing.TB) *cluster {
	t.Helper()
	log, err := state.NewLocal(10, slices.Concat(kv.Tables(), catalog.Tables(), coordinate.Tables(), session.Tables())...)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{log: log, delays: new(session.Delays)}
	c.Service = &session.Service{Log: c, Delays: c.delays, Expiry: session.NewExpiry(c, slog.New(slog.DiscardHandler), nil)}
	c.do(t, &catalog.Register{Node: "n1", Address: "10.0.0.1", Service: &catalog.Instance{ID: "web", Service: "web"}, Checks: []*catalog.Check{
		{Node: "n1", CheckID: "serfHealth", Status: "passing"},
		{Node: "n1", CheckID: "bad", Status: "critical"},
		{Node: "n1", CheckID: "web", ServiceID: "web", Status: "passing"},
	}})
	return c
}

func (c *cluster) do(t testing.TB, cmd state.Command) any {
	t.Helper()
	answer, err := c.Apply(context.Background(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func (c *cluster) create(t testing.TB, s session.Session) string {
	t.Helper()
	if s.Node == "" {
		s.Node = "n1"
	}
	id, err := c.Create(context.Background(), acl.AllowAll(), &session.Create{Session: s})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (c *cluster) lock(t testing.TB, key, id string) bool {
	t.Helper()
	ok, err := c.Lock(context.Background(), acl.AllowAll(), &session.Lock{Key: key, Session: id})
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func (c *cluster) exists(id string) bool { return session.Find(c.DB().Read(), id) != nil }

func (c *cluster) holder(key string) string { return session.Holder(c.DB().Read(), key) }

func TestCreateRefuses(t *testing.T) {
	for _, x := range []struct {
		name string
		s    session.Session
		want string
	}{
		{"no node", session.Session{}, "Must provide Node"},
		{"unknown node", session.Session{Node: "n2"}, "apply failed: Missing node registration"},
		{"unknown check", session.Session{Node: "n1", NodeChecks: []string{"none"}}, "apply failed: Missing check 'none' registration"},
		{"unknown old check", session.Session{Node: "n1", Checks: []string{"none"}}, "apply failed: Missing check 'none' registration"},
		{"unknown service check", session.Session{Node: "n1", ServiceChecks: []session.ServiceCheck{{ID: "none"}}}, "apply failed: Missing check 'none' registration"},
		{"critical check", session.Session{Node: "n1", Checks: []string{"bad"}}, "apply failed: Check 'bad' is in critical state"},
		{"behaviour", session.Session{Node: "n1", Behavior: "odd"}, "Invalid Behavior setting 'odd'"},
		{"short TTL", session.Session{Node: "n1", TTL: "9999ms"}, "Invalid Session TTL '9999000000', must be between [10s=24h0m0s]"},
		{"long TTL", session.Session{Node: "n1", TTL: "86401s"}, "Invalid Session TTL '86401000000000', must be between [10s=24h0m0s]"},
		{"no TTL", session.Session{Node: "n1", TTL: "x"}, "Session TTL 'x' invalid: time: invalid duration \"x\""},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := newCluster(t)
			_, err := c.Create(context.Background(), acl.AllowAll(), &session.Create{Session: x.s})
			if err == nil || err.Error() != x.want {
				t.Errorf("got %v, want %s", err, x.want)
			}
			if l, _, _ := c.List(c.DB().Read(), acl.AllowAll(), &session.List{}); len(l.Rows) != 0 {
				t.Errorf("left behind %v", l.Rows)
			}
		})
	}
}

func TestDenied(t *testing.T) {
	c := newCluster(t)
	ctx, id := context.Background(), c.create(t, session.Session{})
	_, created := c.Create(ctx, acl.DenyAll(), &session.Create{Session: session.Session{Node: "n1"}})
	_, destroyed := c.Destroy(ctx, acl.DenyAll(), &session.Destroy{IDs: []string{id}})
	_, renewed := c.Renew(ctx, acl.DenyAll(), &session.Renew{ID: id})
	_, locked := c.Lock(ctx, acl.DenyAll(), &session.Lock{Key: "k", Session: id})
	for _, err := range []error{created, destroyed, renewed, locked} {
		var denied *acl.Denial
		if !errors.As(err, &denied) {
			t.Errorf("got %v", err)
		}
	}
	l, _, _ := c.List(c.DB().Read(), acl.DenyAll(), &session.List{})
	if !l.Filtered || len(l.Rows) != 0 || !c.exists(id) {
		t.Errorf("listed %v", l)
	}
}

// What a session depends on takes it along in the same commit, and with it its locks.
func TestCascade(t *testing.T) {
	critical := func(id, service string) state.Command {
		return &catalog.Register{Node: "n1", SkipNodeUpdate: true, Checks: []*catalog.Check{{Node: "n1", CheckID: id, ServiceID: service, Status: "critical"}}}
	}
	for _, x := range []struct {
		name string
		s    session.Session
		cmd  state.Command
		dies bool
	}{
		{"node removed", session.Session{}, &catalog.Deregister{Node: "N1"}, true},
		{"check removed", session.Session{NodeChecks: []string{"serfHealth"}}, &catalog.Deregister{Node: "n1", CheckID: "serfHealth"}, true},
		{"another check removed", session.Session{NodeChecks: []string{"serfHealth"}}, &catalog.Deregister{Node: "n1", CheckID: "bad"}, false},
		{"check critical", session.Session{NodeChecks: []string{"serfHealth"}}, critical("serfHealth", ""), true},
		{"check critical that it does not depend on", session.Session{}, critical("serfHealth", ""), false},
		{"old check critical", session.Session{Checks: []string{"web"}}, critical("web", "web"), true},
		{"service check critical", session.Session{ServiceChecks: []session.ServiceCheck{{ID: "web"}}}, critical("web", "web"), true},
		{"service removed", session.Session{ServiceChecks: []session.ServiceCheck{{ID: "web"}}}, &catalog.Deregister{Node: "n1", ServiceID: "web"}, true},
	} {
		for _, behavior := range []string{session.KeysRelease, session.KeysDelete} {
			t.Run(x.name+"/"+behavior, func(t *testing.T) {
				c := newCluster(t)
				x.s.Behavior = behavior
				id := c.create(t, x.s)
				if !c.lock(t, "k", id) {
					t.Fatal("not locked")
				}
				c.do(t, x.cmd)
				if c.exists(id) == x.dies {
					t.Fatalf("the session exists: %v", c.exists(id))
				}
				e := kv.Entries.Get(c.DB().Read(), "k")
				if gone := x.dies && behavior == session.KeysDelete; (e == nil) != gone {
					t.Errorf("the key is %v", e)
				}
				if (c.holder("k") == id) == x.dies {
					t.Errorf("the key is held by %q", c.holder("k"))
				}
			})
		}
	}
}

func TestPlacesGoWithTheirNodes(t *testing.T) {
	c := newCluster(t)
	place := func(node string) *coordinate.Entry {
		return &coordinate.Entry{Node: node, Coord: &coordinate.Coordinate{Vec: make([]float64, coordinate.Dimensions)}}
	}
	update := &coordinate.BatchUpdate{Entries: []*coordinate.Entry{place("n1"), place("gone")}}
	known := func(node string) bool {
		_, ok := coordinate.Distance(c.DB().Read(), node, node)
		return ok
	}
	c.do(t, update)
	if !known("n1") || known("gone") {
		t.Errorf("after an update: n1 %v, gone %v", known("n1"), known("gone"))
	}
	c.do(t, &catalog.Deregister{Node: "N1"})
	c.do(t, update)
	if known("n1") {
		t.Error("a node is gone, its place is not")
	}
}

func TestLockDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a, b := c.create(t, session.Session{LockDelay: 15 * time.Second}), c.create(t, session.Session{})
		if !c.lock(t, "k", a) || c.lock(t, "k", b) {
			t.Fatal("the lock is not exclusive")
		}
		if ok, err := c.Lock(t.Context(), acl.AllowAll(), &session.Lock{Key: "k", Session: a, Release: true}); !ok || err != nil {
			t.Fatal("not released", err)
		}
		if !c.lock(t, "k", b) {
			t.Error("there is a delay after a release")
		}
		if _, err := c.Destroy(t.Context(), acl.AllowAll(), &session.Destroy{IDs: []string{b}}); err != nil {
			t.Fatal(err)
		}
		if !c.lock(t, "k", a) {
			t.Error("there is a delay though the session had none")
		}
		c.do(t, &session.Destroy{IDs: []string{a}})
		b = c.create(t, session.Session{})
		time.Sleep(15*time.Second - 1)
		if c.lock(t, "k", b) {
			t.Error("locked within the delay")
		}
		time.Sleep(time.Nanosecond)
		if !c.lock(t, "k", b) {
			t.Error("not locked after the delay")
		}
	})
}

// A delay of more than a minute, which Consul's documentation rules out, ends after a minute.
func TestLockDelayIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a, b := c.create(t, session.Session{LockDelay: math.MaxInt64}), c.create(t, session.Session{})
		c.lock(t, "k", a)
		c.do(t, &session.Destroy{IDs: []string{a}})
		time.Sleep(session.MaxLockDelay - 1)
		if c.lock(t, "k", b) {
			t.Error("locked within the delay")
		}
		time.Sleep(time.Nanosecond)
		if !c.lock(t, "k", b) {
			t.Error("not locked after the longest delay")
		}
	})
}

// A delay that begins between the leader's look at the delays and the command is respected, too.
func TestLockDelayBeginsMeanwhile(t *testing.T) {
	c := newCluster(t)
	a, b := c.create(t, session.Session{LockDelay: time.Hour}), c.create(t, session.Session{})
	c.lock(t, "k", a)
	seen := session.Seen(c.DB())
	c.do(t, &session.Destroy{IDs: []string{a}})
	if got := c.do(t, &session.Lock{Key: "k", Session: b, Seen: seen}); got != session.Again {
		t.Errorf("outcome %v", got)
	}
	if got := c.do(t, &session.Lock{Key: "k", Session: b, Seen: session.Seen(c.DB())}); got != session.Done {
		t.Errorf("outcome %v", got)
	}
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		before := c.create(t, session.Session{TTL: "10s"})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.Expiry.Run(ctx); close(done) }()
		synctest.Wait()
		renewed, forever := c.create(t, session.Session{TTL: "10.0s"}), c.create(t, session.Session{})
		short := c.create(t, session.Session{TTL: "10s", Behavior: session.KeysDelete})
		c.lock(t, "k", short)
		time.Sleep(15 * time.Second)
		if s, err := c.Renew(ctx, acl.AllowAll(), &session.Renew{ID: renewed}); err != nil || s.TTL != "10.0s" {
			t.Errorf("renewed %v, %v", s, err)
		}
		time.Sleep(5*time.Second - 1)
		synctest.Wait()
		if !c.exists(before) || !c.exists(short) {
			t.Error("ended too early")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if c.exists(before) || c.exists(short) || kv.Entries.Get(c.DB().Read(), "k") != nil {
			t.Error("did not end in time")
		}
		if !c.exists(renewed) {
			t.Error("ended though it was renewed")
		}
		if _, err := c.Renew(ctx, acl.AllowAll(), &session.Renew{ID: short}); err == nil || err.Error() != "Session id '"+short+"' not found" {
			t.Errorf("renewed what has ended: %v", err)
		}
		stop() // another server leads for a while
		<-done
		time.Sleep(time.Hour)
		ctx, stop = context.WithCancel(t.Context())
		done = make(chan struct{})
		go func() { c.Expiry.Run(ctx); close(done) }()
		time.Sleep(20*time.Second - 1)
		synctest.Wait()
		if !c.exists(renewed) {
			t.Error("a new leader ended a session before its whole time was over")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if c.exists(renewed) || !c.exists(forever) {
			t.Error("a new leader does not end sessions")
		}
		stop()
		<-done
	})
}

// Sessions that are due at the same moment, as after a change of the leader, end at that moment, by commands of bounded size.
func TestManyAreDueAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		for range 2500 {
			c.create(t, session.Session{TTL: "10s"})
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.Expiry.Run(ctx); close(done) }()
		synctest.Wait()
		count := func() int { return len(slices.Collect(session.Sessions.All(c.DB().Read()))) }
		before := count()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if left := count(); before != 2500 || left != 0 {
			t.Errorf("of %d sessions %d are left", before, left)
		}
		stop()
		<-done
	})
}

// A session that could not be ended is ended as soon as that is possible. Nobody can renew it meanwhile.
func TestExpiryTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		id := c.create(t, session.Session{TTL: "10s"})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.Expiry.Run(ctx); close(done) }()
		synctest.Wait()
		c.down.Store(true)
		time.Sleep(time.Minute)
		if !c.exists(id) {
			t.Error("ended though nothing can be written")
		}
		c.down.Store(false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if c.exists(id) {
			t.Error("not ended")
		}
		stop()
		<-done
	})
}

// Many clients take turns: never two at once, and each gets its turn.
func TestContention(t *testing.T) {
	c := newCluster(t)
	var inside atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		id := c.create(t, session.Session{})
		all.Go(func() {
			for turns := 0; turns < 25; {
				ok, err := c.Lock(t.Context(), acl.AllowAll(), &session.Lock{Key: "k", Session: id})
				if err != nil {
					t.Error(err)
					return
				}
				if !ok {
					runtime.Gosched()
					continue
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d hold the lock", n)
				}
				turns++
				inside.Add(-1)
				if ok, err := c.Lock(t.Context(), acl.AllowAll(), &session.Lock{Key: "k", Session: id, Release: true}); !ok || err != nil {
					t.Errorf("not released: %v", err)
				}
			}
		})
	}
	all.Wait()
	if e := kv.Entries.Get(c.DB().Read(), "k"); e.LockIndex != 8*25 {
		t.Errorf("the lock changed hands %d times", e.LockIndex)
	}
}

func TestJSON(t *testing.T) {
	for _, x := range []struct {
		s    session.Session
		want string
	}{
		{session.Session{}, `"NodeChecks":[],"ServiceChecks":null,"LockDelay":0`},
		{session.Session{NodeChecks: []string{"a"}, Checks: []string{"b"}, LockDelay: time.Second}, `"NodeChecks":["a"],"ServiceChecks":null,"Checks":["b"],"LockDelay":1000000000`},
	} {
		got, err := json.Marshal(x.s)
		if err != nil || !strings.Contains(string(got), x.want) {
			t.Errorf("got %s, %v", got, err)
		}
	}
}

// Whatever happens, each key has at most one holder, which is alive and knows of it; its count of locks only grows
// unless a plain write resets it; and two servers that apply the same log agree byte for byte.
func TestPropertyOfLocks(t *testing.T) {
	for seed := range uint64(20) {
		a, b := newCluster(t), newCluster(t)
		rnd := rand.New(rand.NewPCG(seed, 1))
		for i := range 300 {
			id, key := fmt.Sprintf("s%d", rnd.IntN(6)), fmt.Sprintf("k%d", rnd.IntN(4))
			cmd := randomCommand(rnd, id, key)
			before := a.holder(key)
			x, errX := a.Apply(context.Background(), cmd)
			y, errY := b.Apply(context.Background(), cmd)
			if fmt.Sprint(x, errX) != fmt.Sprint(y, errY) {
				t.Fatalf("seed %d, step %d: %v %v and %v %v", seed, i, x, errX, y, errY)
			}
			if l, ok := cmd.(*session.Lock); ok && x == session.Done && !l.Release && before != "" && before != id {
				t.Fatalf("seed %d, step %d: %s took the lock of %s", seed, i, id, before)
			}
			for e := range kv.Entries.All(a.DB().Read()) {
				if e.Session != "" && !a.exists(e.Session) {
					t.Fatalf("seed %d, step %d: %s is held by %s, which is over", seed, i, e.Key, e.Session)
				}
			}
		}
		if !bytes.Equal(dump(t, a), dump(t, b)) {
			t.Fatalf("seed %d: the servers differ", seed)
		}
	}
}

func randomCommand(rnd *rand.Rand, id, key string) state.Command {
	status := []string{"passing", "critical"}[rnd.IntN(2)]
	switch rnd.IntN(8) {
	case 0, 1:
		return &session.Create{Session: session.Session{ID: id, Node: "n1", NodeChecks: []string{"serfHealth"}[:rnd.IntN(2)],
			Behavior: []string{session.KeysRelease, session.KeysDelete}[rnd.IntN(2)]}}
	case 2:
		return &session.Destroy{IDs: []string{id}}
	case 3:
		return &catalog.Register{Node: "n1", Address: "10.0.0.1", Checks: []*catalog.Check{{Node: "n1", CheckID: "serfHealth", Status: status}}}
	case 4:
		return &kv.Put{Key: key, Value: []byte(id)}
	case 5:
		return &session.Lock{Key: key, Session: id, Release: true}
	}
	return &session.Lock{Key: key, Session: id, Seen: 1 << 60}
}

func dump(t *testing.T, c *cluster) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := c.DB().Snapshot().WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
