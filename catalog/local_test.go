package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"lictor/acl"
	"lictor/state"
)

// A store is a Service over a log without Raft, with the words of the tests.
type store struct {
	t   testing.TB
	log *state.Local
	*Service
}

func newStore(t testing.TB) *store {
	t.Helper()
	log, err := state.NewLocal(10, Tables()...)
	if err != nil {
		t.Fatal(err)
	}
	return &store{t, log, &Service{Log: log, Datacenter: "dc1"}}
}

func (s *store) register(r Register) {
	s.t.Helper()
	if _, err := s.Register(context.Background(), acl.AllowAll(), copied(s.t, &r)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *store) deregister(d Deregister) {
	s.t.Helper()
	if _, err := s.Deregister(context.Background(), acl.AllowAll(), &d); err != nil {
		s.t.Fatal(err)
	}
}

// copied is a copy of a command, because the Service fills in what it is given.
func copied(t testing.TB, r *Register) *Register {
	t.Helper()
	b, err := r.MarshalMsg(nil)
	if err != nil {
		t.Fatal(err)
	}
	var c Register
	if _, err := c.UnmarshalMsg(b); err != nil {
		t.Fatal(err)
	}
	return &c
}

// on is a registration of an instance on a node.
func on(node, id, service string, checks ...*Check) Register {
	return Register{Node: node, Address: "10.0.0.1", Service: &Instance{ID: id, Service: service, Port: 80}, Checks: checks}
}

func check(id, status, serviceID string) *Check {
	return &Check{CheckID: id, Name: id, Status: status, ServiceID: serviceID}
}

// A question is a query with its arguments.
type question struct {
	name string
	ask  func(s *store, tx *state.Tx, az acl.Authorizer) (any, uint64, error)
}

func questionOf[A comparable, R any](name string, eval func(*Service, *state.Tx, acl.Authorizer, *A) (R, uint64, error), args A) question {
	return question{name, func(s *store, tx *state.Tx, az acl.Authorizer) (any, uint64, error) {
		return eval(s.Service, tx, az, &args)
	}}
}

// questions are all queries with arguments of many kinds, about nodes a to c and services x to z.
func questions() []question {
	return []question{
		questionOf("nodes", (*Service).Nodes, Nodes{}),
		questionOf("nodes with metadata", (*Service).Nodes, Nodes{NodeMeta: PairsOf(map[string]string{"k": "v"}), Filter: "Node != b"}),
		questionOf("node a", (*Service).Node, OnNode{Node: "a"}),
		questionOf("services on b", (*Service).NodeServices, OnNode{Node: "B", Filter: "Service == x"}),
		questionOf("services", (*Service).Services, Services{}),
		questionOf("services with metadata", (*Service).Services, Services{NodeMeta: PairsOf(map[string]string{"k": "v"})}),
		questionOf("instances of x", (*Service).ServiceNodes, ServiceNodes{Service: "x"}),
		questionOf("tagged instances of y", (*Service).ServiceNodes, ServiceNodes{Service: "Y", Tags: ListOf("T1")}),
		questionOf("ways into x", (*Service).ServiceNodes, ServiceNodes{Service: "x", Connect: true}),
		questionOf("health of x", (*Service).ServiceHealth, ServiceHealth{Service: "x"}),
		questionOf("passing y", (*Service).ServiceHealth, ServiceHealth{Service: "y", Passing: true}),
		questionOf("health of ways into y", (*Service).ServiceHealth, ServiceHealth{Service: "y", Connect: true}),
		questionOf("checks of a", (*Service).NodeChecks, NodeChecks{Node: "a"}),
		questionOf("checks of z", (*Service).ServiceChecks, ServiceChecks{Service: "z"}),
		questionOf("critical checks", (*Service).ChecksInState, ChecksInState{State: Critical}),
		questionOf("all checks", (*Service).ChecksInState, ChecksInState{State: AnyState}),
		questionOf("warnings by metadata", (*Service).ChecksInState, ChecksInState{State: Warning, NodeMeta: PairsOf(map[string]string{"k": "v"})}),
		questionOf("who has an address", (*Service).AtAddress, AtAddress{Address: "10.0.0.2"}),
		questionOf("virtual address", (*Service).VirtualAddress, VirtualAddress{Service: "x"}),
		questionOf("usage", (*Service).Usage, Count{}),
	}
}

// An answer is what a question gave, and when.
type answer struct {
	json  string
	index uint64
	watch *state.WatchSet
}

func (s *store) answer(q question) answer {
	s.t.Helper()
	tx := s.log.DB().Read()
	value, index, err := q.ask(s, tx, acl.AllowAll())
	if err != nil {
		s.t.Fatalf("%s: %v", q.name, err)
	}
	b, err := json.Marshal(value)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{string(b), max(index, 1), tx.Watch()}
}

func (s *store) answers() map[string]answer {
	all := map[string]answer{}
	for _, q := range questions() {
		all[q.name] = s.answer(q)
	}
	return all
}

// dump is everything in the tables.
func (s *store) dump() string {
	tx := s.log.DB().Read()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	encode := func(row any) {
		if err := e.Encode(row); err != nil {
			s.t.Fatal(err)
		}
	}
	for n := range nodes.All(tx) {
		encode(n)
	}
	for i := range instances.All(tx) {
		encode([]any{i.Node, i})
	}
	for c := range checks.All(tx) {
		encode(c)
	}
	for v := range virtuals.All(tx) {
		encode(v)
	}
	for f := range spares.All(tx) {
		encode(f)
	}
	return b.String()
}

// only gives one kind of access to names with a prefix.
type only struct {
	acl.Authorizer
	resource acl.Resource
	prefix   string
}

func (o only) Allow(r acl.Resource, name string, _ acl.Access) bool {
	return r == o.resource && len(name) >= len(o.prefix) && name[:len(o.prefix)] == o.prefix
}

// either gives what one of several gives.
type either struct {
	acl.Authorizer
	all []acl.Authorizer
}

func (e either) Allow(r acl.Resource, name string, a acl.Access) bool {
	for _, az := range e.all {
		if az.Allow(r, name, a) {
			return true
		}
	}
	return false
}

func token(all ...acl.Authorizer) acl.Authorizer { return either{acl.DenyAll(), all} }

func may(r acl.Resource, prefix string) acl.Authorizer { return only{acl.DenyAll(), r, prefix} }
