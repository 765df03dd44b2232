package query

import (
	"fmt"
	"testing"

	"lictor/acl"
	"lictor/catalog"
)

func BenchmarkExecute(b *testing.B) {
	k := newKeeper(b)
	for i := range 100 {
		r := &catalog.Register{Node: fmt.Sprint("node", i), Address: "10.0.0.1", Service: &catalog.Instance{ID: "many", Service: "many", Tags: []string{"v1", "prod"}},
			Check: &catalog.Check{CheckID: "c", ServiceID: "many", Status: catalog.Passing}}
		if _, err := k.Catalog.Register(b.Context(), acl.AllowAll(), r); err != nil {
			b.Fatal(err)
		}
	}
	k.add(b, Query{Name: "exact", Service: Service{Service: "many", Tags: []string{"prod", "!old"}, OnlyPassing: true}})
	k.add(b, Query{Name: "to-", Template: Template{Type: PrefixMatch, Regexp: "^to-(.*)$"}, Service: Service{Service: "${match(1)}"}})
	for _, name := range []string{"exact", "to-many"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, _, err := k.Execute(k.Log.DB().Read(), acl.AllowAll(), &Execute{Name: name})
				if err != nil || len(r.Nodes) != 100 {
					b.Fatal(err)
				}
			}
		})
	}
	r, _, _ := k.Execute(k.Log.DB().Read(), acl.AllowAll(), &Execute{Name: "exact"})
	b.Run("choose", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Choose(3)
		}
	})
}
