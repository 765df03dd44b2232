package catalog

import (
	"math"
	"slices"
	"time"

	"lictor/state"
)

// sort puts n rows in the order of their nodes' distance from near, as far as it is known; those of which it is not
// known come last, in the order that they had.
func (s *Service) sort(tx *state.Tx, near string, n int, node func(i int) string, reorder func(order []int)) {
	if near == "" || s.Distance == nil || n < 2 {
		return
	}
	away := make([]time.Duration, n)
	order := make([]int, n)
	for i := range n {
		order[i] = i
		rtt, ok := s.Distance(tx, near, node(i))
		if !ok {
			rtt = math.MaxInt64
		}
		away[i] = rtt
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(min(max(away[a]-away[b], -1), 1)) })
	reorder(order)
}

// permute puts rows in an order.
func permute[T any](rows []T, order []int) {
	was := slices.Clone(rows)
	for i, from := range order {
		rows[i] = was[from]
	}
}
