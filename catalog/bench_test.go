package catalog

import (
	"context"
	"fmt"
	"testing"

	"lictor/acl"
)

func hundred(b *testing.B) *store {
	s := newStore(b)
	for i := range 100 {
		node := fmt.Sprintf("node-%d", i)
		s.register(Register{Node: node, Address: "10.0.0.1", Check: check(SerfHealth, Passing, "")})
		s.register(on(node, "web", "web", check("web", Passing, "web")))
	}
	return s
}

// A registration that changes something: one check of one of a hundred instances.
func BenchmarkRegister(b *testing.B) {
	s := hundred(b)
	ctx := context.Background()
	b.ReportAllocs()
	for i := range b.N {
		status := []string{Passing, Critical}[i%2]
		r := &Register{Node: "node-7", SkipNodeUpdate: true, Check: check("web", status, "web")}
		if _, err := s.Register(ctx, acl.AllowAll(), r); err != nil {
			b.Fatal(err)
		}
	}
}

// A registration of what is there already, as agents repeat it.
func BenchmarkRegisterAgain(b *testing.B) {
	s := hundred(b)
	ctx := context.Background()
	r := on("node-7", "web", "web", check("web", Passing, "web"))
	b.ReportAllocs()
	for range b.N {
		if _, err := s.Register(ctx, acl.AllowAll(), &r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkServiceHealth(b *testing.B) {
	s := hundred(b)
	tx := s.log.DB().Read()
	b.ReportAllocs()
	for range b.N {
		if l, _, err := s.ServiceHealth(tx, acl.AllowAll(), &ServiceHealth{Service: "web", Passing: true}); err != nil || len(l.Rows) != 100 {
			b.Fatal(err, len(l.Rows))
		}
	}
}

// A node's own check changes on a node with two thousand services, each of which has an index to move.
func BenchmarkNodeCheckOfManyServices(b *testing.B) {
	s := newStore(b)
	for i := range 2000 {
		name := fmt.Sprintf("service-%d", i)
		s.register(on("node", name, name))
	}
	b.ReportAllocs()
	for i := range b.N {
		s.register(Register{Node: "node", SkipNodeUpdate: true, Check: check(SerfHealth, []string{Passing, Critical}[i%2], "")})
	}
}
