package catalog

import (
	"fmt"
	"strings"

	"github.com/hashicorp/go-bexpr"

	"lictor/rpc"
)

// A Filter decides by an expression that a client wrote which rows it gets. The fields of T that it may name are those
// that T's bexpr tags leave in. The nil Filter keeps all.
type Filter[T any] struct{ eval *bexpr.Evaluator }

// Bounds of what is parsed: the parser works by recursion.
const (
	maxFilter        = 8 << 10 // bytes
	maxFilterNesting = 32      // parentheses in parentheses, and "not"s in a row
)

// NewFilter parses an expression; the empty one gives nil. The texts of its errors are those of Consul.
func NewFilter[T any](expression string) (*Filter[T], error) {
	if expression == "" {
		return nil, nil
	}
	if err := boundFilter(expression); err != nil {
		return nil, rpc.Errorf(rpc.Internal, "Failed to create boolean expression evaluator: %v", err)
	}
	var row T
	eval, err := bexpr.CreateEvaluatorForType(expression, nil, row)
	if err != nil {
		return nil, rpc.Errorf(rpc.Internal, "Failed to create boolean expression evaluator: %v", err)
	}
	return &Filter[T]{eval}, nil
}

func boundFilter(expression string) error {
	if len(expression) > maxFilter {
		return fmt.Errorf("the expression is longer than %d bytes", maxFilter)
	}
	if strings.Count(expression, "(") > maxFilterNesting || strings.Count(expression, "not") > maxFilterNesting {
		return fmt.Errorf("the expression is nested too deeply, or has more than %d groups", maxFilterNesting)
	}
	return nil
}

// Keep tells whether the expression holds for a row.
func (f *Filter[T]) Keep(row T) (bool, error) {
	if f == nil {
		return true, nil
	}
	return f.eval.Evaluate(row)
}

// select keeps the rows for which the expression holds.
func (f *Filter[T]) rows(rows []T) ([]T, error) {
	if f == nil {
		return rows, nil
	}
	var kept []T
	for _, r := range rows {
		ok, err := f.Keep(r)
		if err != nil {
			return nil, err
		}
		if ok {
			kept = append(kept, r)
		}
	}
	return kept, nil
}
