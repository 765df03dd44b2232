// Package filter decides by expressions that clients write which rows they get. It knows the language of go-bexpr, and
// nothing of the rows.
package filter

import (
	"fmt"

	"github.com/hashicorp/go-bexpr"

	"lictor/rpc"
)

// A Filter decides by an expression that a client wrote which rows it gets. The fields of T that it may name are those
// that T's bexpr tags leave in. The nil Filter keeps all.
//
// Go-bexpr, in the version whose messages Consul's clients know, takes time that grows tenfold with each parenthesis,
// and its recursion is not bounded. So what stands around the matches ("and", "or", "not" and parentheses) is parsed
// here, and go-bexpr sees one match at a time.
type Filter[T any] struct{ holds predicate[T] }

// A predicate tells whether a row fulfils a part of an expression.
type predicate[T any] func(row T) (bool, error)

// maxFilter bounds the length of an expression, in bytes.
const maxFilter = 16 << 10

// New parses what a client asks with; the empty expression gives nil. The texts of its errors are those of Consul.
func New[T any](expression string) (*Filter[T], error) {
	if expression == "" {
		return nil, nil
	}
	f, err := Parse[T](expression)
	if err != nil {
		return nil, rpc.Errorf(rpc.Internal, "Failed to create boolean expression evaluator: %v", err)
	}
	return f, nil
}

// Parse parses an expression.
func Parse[T any](expression string) (*Filter[T], error) {
	holds, err := parse[T](expression)
	if err != nil {
		return nil, err
	}
	return &Filter[T]{holds}, nil
}

func parse[T any](expression string) (predicate[T], error) {
	if len(expression) > maxFilter {
		return nil, fmt.Errorf("the expression is longer than %d bytes", maxFilter)
	}
	p := &filterParser[T]{text: expression, words: split(expression)}
	holds, err := p.or()
	if err == nil && p.at < len(p.words) {
		err = p.unexpected()
	}
	return holds, err
}

// Keep tells whether the expression holds for a row.
func (f *Filter[T]) Keep(row T) (bool, error) {
	if f == nil {
		return true, nil
	}
	return f.holds(row)
}

// Rows keeps the rows for which the expression holds.
func (f *Filter[T]) Rows(rows []T) ([]T, error) {
	if f == nil {
		return rows, nil
	}
	var kept []T
	for _, r := range rows {
		ok, err := f.holds(r)
		if err != nil {
			return nil, err
		}
		if ok {
			kept = append(kept, r)
		}
	}
	return kept, nil
}

// match makes a predicate of one match, such as "Node == n1".
func match[T any](text string) (predicate[T], error) {
	var row T
	eval, err := bexpr.CreateEvaluatorForType(text, nil, row)
	if err != nil {
		return nil, err
	}
	return func(row T) (holds bool, err error) {
		// Go-bexpr panics where a selector leads through a nil pointer: there is nothing then that could match.
		defer func() {
			if recover() != nil {
				holds, err = false, nil
			}
		}()
		return eval.Evaluate(row)
	}, nil
}
