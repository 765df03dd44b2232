package raftstore

import (
	"context"
	"fmt"
	"testing"

	"lictor/state"
)

// BenchmarkClusterApply writes to three servers on one machine.
func BenchmarkClusterApply(b *testing.B) {
	for _, writers := range []int{1, 32} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			a := open(b, nil)
			defer a.Stop()
			for _, id := range []string{"two", "three"} {
				defer follower(b, a, id).Stop()
			}
			b.SetParallelism(writers)
			if writers == 1 {
				for i := 0; b.Loop(); i++ {
					put(b, a, fmt.Sprint("key/", i%1000), "value")
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					put(b, a, fmt.Sprint("key/", i%1000), "value")
				}
			})
		})
	}
}

// BenchmarkFresh is what it takes to know that a read is fresh.
func BenchmarkFresh(b *testing.B) {
	a := open(b, nil)
	defer a.Stop()
	run := func(name string, how state.Consistency) {
		b.Run(name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := a.Fresh(context.Background(), state.ReadOptions{Consistency: how}); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
	run("alone/default", state.Default)
	run("alone/consistent", state.Consistent)
	for _, id := range []string{"two", "three"} {
		defer follower(b, a, id).Stop()
	}
	run("three/default", state.Default)
	run("three/consistent", state.Consistent)
}
