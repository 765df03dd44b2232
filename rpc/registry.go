package rpc

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// A Registry holds the methods that a process answers. It is filled before the first call and then only read.
type Registry[Z any] struct {
	methods map[string]handler[Z]
}

type handler[Z any] func(ctx context.Context, az Z, args, reply any) error

// Handle adds a method. What may be done is decided by az, of type Z, which is made from the call's token. It panics
// if the name is taken.
func Handle[Z, A, R any](r *Registry[Z], m Method[A, R], do func(ctx context.Context, az Z, args *A) (R, error)) {
	if r.methods == nil {
		r.methods = map[string]handler[Z]{}
	}
	if r.methods[m.Name] != nil {
		panic("two methods are called " + m.Name)
	}
	r.methods[m.Name] = func(ctx context.Context, az Z, args, reply any) error {
		answer, err := do(ctx, az, args.(*A))
		if err == nil {
			*reply.(*R) = answer
		}
		return err
	}
}

// Dispatch calls the method with this name.
func (r *Registry[Z]) Dispatch(ctx context.Context, az Z, method string, args, reply any) error {
	do := r.methods[method]
	if do == nil {
		return &Error{NotImplemented, fmt.Sprintf("unknown method %q", method)}
	}
	return do(ctx, az, args, reply)
}

// Names lists the methods in alphabetical order.
func (r *Registry[Z]) Names() []string { return slices.Sorted(maps.Keys(r.methods)) }
