package rpc

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// A Registry holds the methods that a process answers. It is filled before the first call and then only read.
type Registry[Z any] struct {
	methods map[string]handler[Z]
}

// A handler is a method in two forms: args and reply as pointers, or both encoded.
type handler[Z any] struct {
	call   func(ctx context.Context, az Z, args, reply any) error
	answer func(ctx context.Context, az Z, args []byte) ([]byte, error)
	types  Types
	traits Traits
	owned  func(ctx context.Context, h Header, args any) (bool, error) // see Own; nil is never
}

// Traits are what who makes a call must know of its method: see Method.
type Traits struct{ Anywhere, Repeatable, Servers bool }

// Types are the types of what a method or query is given and of what it answers.
type Types struct{ Args, Reply reflect.Type }

// TypesOf are those of a method or query with this name. It panics if values of these types cannot travel.
func TypesOf[A, R any](name string) Types {
	t := Types{reflect.TypeFor[A](), reflect.TypeFor[R]()}
	for _, one := range []reflect.Type{t.Args, t.Reply} {
		if _, err := codecOf(one); err != nil {
			panic(name + ": " + err.Error())
		}
	}
	return t
}

// Handle adds a method. What may be done is decided by az, of type Z, which is made from the call's token. It panics
// if the name is taken, or if arguments or answers of these types cannot travel.
func Handle[Z, A, R any](r *Registry[Z], m Method[A, R], do func(ctx context.Context, az Z, args *A) (R, error)) {
	if r.methods == nil {
		r.methods = map[string]handler[Z]{}
	}
	if _, taken := r.methods[m.Name]; taken {
		panic("two methods are called " + m.Name)
	}
	call := func(ctx context.Context, az Z, args, reply any) error {
		answer, err := do(ctx, az, args.(*A))
		if err == nil {
			*reply.(*R) = answer
		}
		return err
	}
	answer := func(ctx context.Context, az Z, args []byte) ([]byte, error) {
		var a A
		if err := Decode(args, &a); err != nil {
			return nil, err
		}
		reply, err := do(ctx, az, &a)
		if err != nil {
			return nil, err
		}
		return Append(nil, &reply)
	}
	r.methods[m.Name] = handler[Z]{call, answer, TypesOf[A, R](m.Name), Traits{m.Anywhere, m.Repeatable, m.Servers}, nil}
}

// Own says of a method that has been added which of its calls belong to the datacenter that owns what they are about, whichever
// they are made in. It panics if there is no such method.
func Own[Z, A, R any](r *Registry[Z], m Method[A, R], owned func(ctx context.Context, h Header, args *A) bool) {
	known, err := r.find(m.Name)
	if err != nil {
		panic(err)
	}
	known.owned = func(ctx context.Context, h Header, args any) (bool, error) {
		if a, ok := args.(*A); ok {
			return owned(ctx, h, a), nil
		}
		var a A
		if err := Decode(args.([]byte), &a); err != nil {
			return false, err
		}
		return owned(ctx, h, &a), nil
	}
	r.methods[m.Name] = known
}

// Owned tells whether a call belongs to the owner: see Own. Args is what is given to Dispatch or to Answer.
func (r *Registry[Z]) Owned(ctx context.Context, h Header, method string, args any) (bool, error) {
	if known, ok := r.methods[method]; ok && known.owned != nil {
		return known.owned(ctx, h, args)
	}
	return false, nil
}

// Dispatch calls the method with this name.
func (r *Registry[Z]) Dispatch(ctx context.Context, az Z, method string, args, reply any) error {
	h, err := r.find(method)
	if err != nil {
		return err
	}
	return h.call(ctx, az, args, reply)
}

// Answer calls the method with this name for who is elsewhere: args is what Append makes of its argument, and the
// answer what Append makes of its reply.
func (r *Registry[Z]) Answer(ctx context.Context, az Z, method string, args []byte) ([]byte, error) {
	h, err := r.find(method)
	if err != nil {
		return nil, err
	}
	return h.answer(ctx, az, args)
}

func (r *Registry[Z]) find(method string) (handler[Z], error) {
	h, ok := r.methods[method]
	if !ok {
		return h, &Error{NotImplemented, fmt.Sprintf("unknown method %q", method)}
	}
	return h, nil
}

// Traits are those of a method; false if there is no such method.
func (r *Registry[Z]) Traits(method string) (Traits, bool) {
	h, ok := r.methods[method]
	return h.traits, ok
}

// Names lists the methods in alphabetical order.
func (r *Registry[Z]) Names() []string { return slices.Sorted(maps.Keys(r.methods)) }

// Types are the types of the arguments and replies of all methods, by name: for who looks at the protocol as a whole.
func (r *Registry[Z]) Types() map[string]Types {
	all := map[string]Types{}
	for name, h := range r.methods {
		all[name] = h.types
	}
	return all
}
