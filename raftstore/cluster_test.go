package raftstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"lictor/acl"
	"lictor/kv"
	"lictor/state"
)

// A cluster is several servers on a network, in fake time.
type cluster struct {
	t       *testing.T
	net     *network
	mu      sync.Mutex // guards servers
	servers map[string]*testServer
	change  func(*Config)
	serve   func(*Service)
}

// A testServer is one of them, in one of its lives, or between them.
type testServer struct {
	*Node   // nil between its lives
	service *Service
	memory  *memory
	address string
}

var errUnreachable = errors.New("out of reach")

// newCluster starts servers that make a cluster.
func newCluster(t *testing.T, change func(*Config), ids ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, net: newNetwork(), servers: map[string]*testServer{}, change: change}
	t.Cleanup(c.stop)
	var first []Server
	for _, id := range ids {
		c.add(id)
		first = append(first, Server{ID: id, Address: c.at(id).address})
	}
	for _, id := range ids {
		if err := c.at(id).Bootstrap(first); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// add starts a server that is not part of the cluster yet.
func (c *cluster) add(id string) *testServer {
	c.set(id, &testServer{memory: newMemory(), address: id + ":8300"})
	c.start(id)
	return c.at(id)
}

// at is a server as it is now; nil if there is none.
func (c *cluster) at(id string) *testServer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.servers[id]
}

func (c *cluster) set(id string, s *testServer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.servers[id] = s
}

func (c *cluster) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.servers, id)
}

func (c *cluster) all() map[string]*testServer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.servers)
}

// start begins a server's next life.
func (c *cluster) start(id string) {
	c.t.Helper()
	s := c.at(id)
	conf := Config{
		ID: id, Listener: c.net.listen(id, s.address), Advertise: address(s.address), memory: s.memory,
		Dial: func(ctx context.Context, _, address string) (net.Conn, error) { return c.net.dial(ctx, id, address) },
		AskLeader: func(ctx context.Context, r ReadIndex) (from ReadPoint, err error) {
			s := c.at(id).Node
			if s == nil {
				return ReadPoint{}, errUnreachable
			}
			_, leader := s.Leader()
			err = c.call(ctx, id, leader, func(s *testServer) error {
				from, err = s.service.ReadIndex(ctx, acl.AllowAll(), &r)
				return err
			})
			return from, err
		},
		Log: slog.New(slog.DiscardHandler), RaftLog: hclog.NewNullLogger(),
	}
	if os.Getenv("RAFTSTORE_LOG") != "" {
		conf.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("server", id)
		conf.RaftLog = hclog.New(&hclog.LoggerOptions{Name: id, Level: hclog.Debug})
	}
	if c.change != nil {
		c.change(&conf)
	}
	n, err := Open(conf)
	if err != nil {
		c.t.Fatal(err)
	}
	service := &Service{Node: n}
	if c.serve != nil {
		c.serve(service)
	}
	c.set(id, &testServer{Node: n, service: service, memory: s.memory, address: s.address})
}

// service is a server's in its present life, once it has begun.
func (c *cluster) service(id string) *Service {
	for {
		if s := c.at(id); s.Node != nil {
			return s.service
		}
		time.Sleep(time.Millisecond)
	}
}

// call makes a call from one server to another one, over the network.
func (c *cluster) call(ctx context.Context, from, to string, do func(*testServer) error) error {
	if err := c.net.passable(ctx, from, to); err != nil {
		return err
	}
	s := c.at(to)
	if s == nil || s.Node == nil {
		return errUnreachable
	}
	err := do(s)
	if c.at(to) != s {
		return errUnreachable
	}
	return errors.Join(err, c.net.passable(ctx, to, from))
}

// kill ends a server as kill -9 does.
func (c *cluster) kill(id string) {
	s := c.at(id)
	c.set(id, &testServer{memory: s.memory, address: s.address})
	c.net.kill(id)
	if err := s.Stop(); err != nil {
		c.t.Error(err)
	}
}

// isolate cuts a server off from all others, or heals that.
func (c *cluster) isolate(id string, down bool) {
	for other := range c.all() {
		if other != id {
			c.net.cut(id, other, down)
		}
	}
}

func (c *cluster) stop() {
	for id, s := range c.all() {
		if s.Node != nil {
			c.kill(id)
		}
	}
}

// leader is the id of the server that leads the most.
func (c *cluster) leader() string {
	var leader string
	var term uint64
	for id, s := range c.all() {
		if s.Node != nil && s.Leads() && s.raft.CurrentTerm() > term {
			leader, term = id, s.raft.CurrentTerm()
		}
	}
	return leader
}

// await waits, in fake time, until something holds.
func (c *cluster) await(what string, holds func() bool) {
	c.t.Helper()
	for begin := time.Now(); !holds(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > time.Minute {
			c.t.Fatalf("never: %s", what)
		}
	}
}

// elected waits for a leader and returns it.
func (c *cluster) elected() *testServer {
	c.t.Helper()
	c.await("a leader", func() bool { return c.leader() != "" })
	return c.at(c.leader())
}

// other is a server that runs and is none of these.
func (c *cluster) other(ids ...string) *testServer {
	for _, id := range slices.Sorted(maps.Keys(c.all())) {
		if s := c.at(id); s.Node != nil && !slices.Contains(ids, id) {
			return s
		}
	}
	c.t.Fatal("no other server runs")
	return nil
}

// put writes through whoever leads, until it is acknowledged.
func (c *cluster) put(key, value string) {
	c.t.Helper()
	c.await("a write", func() bool {
		s := c.at(c.leader())
		if s == nil {
			return false
		}
		_, err := s.Apply(context.Background(), &kv.Put{Key: key, Value: []byte(value)})
		return err == nil
	})
}

// equal checks that all servers that run have the same state in the end.
func (c *cluster) equal() {
	c.t.Helper()
	c.put("the end", fmt.Sprint(time.Now().UnixNano()))
	want := string(content(c.t, c.elected().Node))
	for id, s := range c.all() {
		if s.Node != nil {
			c.await(id+" has the same state", func() bool { return string(content(c.t, s.Node)) == want })
		}
	}
}

// fresh reads a key on a server.
func (s *testServer) fresh(consistency state.Consistency, key string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := s.Fresh(ctx, state.ReadOptions{Consistency: consistency}); err != nil {
		return "", err
	}
	return value(s.Node, key), nil
}

func configurationOf(ids ...raft.ServerID) raft.Configuration {
	var c raft.Configuration
	for _, id := range ids {
		c.Servers = append(c.Servers, raft.Server{ID: id, Address: raft.ServerAddress(id + ":8300")})
	}
	return c
}
