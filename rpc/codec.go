package rpc

import (
	"fmt"
	"reflect"
	"sync"

	"github.com/tinylib/msgp/msgp"
)

// Arguments and answers travel as MessagePack. Structs have generated code, which is found through msgp's interfaces;
// what stands around them (slices, pointers, maps, plain types) is put together here, once for each type. Nil and empty
// slices and maps differ, as they do in JSON.

// Append encodes v, a pointer to an argument or reply of a method or query, behind b.
func Append(b []byte, v any) ([]byte, error) {
	if m, ok := v.(msgp.Marshaler); ok {
		return m.MarshalMsg(b)
	}
	p := reflect.ValueOf(v)
	c, err := codecOf(p.Type().Elem())
	if err != nil {
		return b, err
	}
	return c.append(b, p.Elem())
}

// Decode decodes what Append has encoded into v, a pointer of the same type. What is malformed is an error with the code
// Invalid, and then v may be filled in part. Nothing is made room for that the bytes do not hold.
func Decode(b []byte, v any) error {
	if err := screen(b); err != nil {
		return err
	}
	rest, err := Next(b, v)
	if err == nil && len(rest) > 0 {
		err = Errorf(Invalid, "%d bytes follow a message", len(rest))
	}
	return err
}

// Next decodes the first of several values behind one another, and returns what follows it. It is for the methods of
// types with an encoding of their own: lengths are trusted, as Decode has looked at all of them.
func Next(b []byte, v any) ([]byte, error) {
	var rest []byte
	var err error
	if m, ok := v.(msgp.Unmarshaler); ok {
		rest, err = m.UnmarshalMsg(b)
	} else {
		p := reflect.ValueOf(v)
		var c codec
		if c, err = codecOf(p.Type().Elem()); err != nil {
			return nil, err
		}
		rest, err = c.decode(b, p.Elem())
	}
	if err != nil {
		return nil, &Error{Invalid, err.Error()}
	}
	return rest, nil
}

// A codec encodes and decodes the values of one type. Those given to it can be addressed.
type codec interface {
	append(b []byte, v reflect.Value) ([]byte, error)
	decode(b []byte, v reflect.Value) (rest []byte, err error)
}

var known sync.Map // reflect.Type -> codec; each follows from its type alone

func codecOf(t reflect.Type) (codec, error) {
	if c, ok := known.Load(t); ok {
		return c.(codec), nil
	}
	c, err := newCodec(t)
	if err != nil {
		return nil, err
	}
	known.Store(t, c)
	return c, nil
}

var (
	marshaler   = reflect.TypeFor[msgp.Marshaler]()
	unmarshaler = reflect.TypeFor[msgp.Unmarshaler]()
)

func newCodec(t reflect.Type) (codec, error) {
	if p := reflect.PointerTo(t); p.Implements(marshaler) && p.Implements(unmarshaler) {
		return generated{}, nil
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return plain{}, nil
	case reflect.Struct:
		if t.NumField() == 0 {
			return nothing{}, nil
		}
	case reflect.Slice, reflect.Pointer, reflect.Map:
		return composed(t)
	}
	return nil, fmt.Errorf("no values of type %s can travel: it has no generated code", t)
}

// composed is the codec of a type that is made of another.
func composed(t reflect.Type) (codec, error) {
	if t.Kind() == reflect.Map && t.Key().Kind() != reflect.String {
		return nil, fmt.Errorf("no values of type %s can travel: keys must be strings", t)
	}
	of, err := codecOf(t.Elem())
	if err != nil {
		return nil, err
	}
	switch {
	case t.Kind() == reflect.Pointer:
		return pointer{of}, nil
	case t.Kind() == reflect.Map:
		return table{of}, nil
	case t.Elem().Kind() == reflect.Uint8:
		return octets{}, nil
	}
	return slice{of}, nil
}

// generated is the codec of types that have generated code.
type generated struct{}

func (generated) append(b []byte, v reflect.Value) ([]byte, error) {
	return v.Addr().Interface().(msgp.Marshaler).MarshalMsg(b)
}

func (generated) decode(b []byte, v reflect.Value) ([]byte, error) {
	return v.Addr().Interface().(msgp.Unmarshaler).UnmarshalMsg(b)
}

// nothing is the codec of structs without fields. What has been sent with fields is skipped.
type nothing struct{}

func (nothing) append(b []byte, _ reflect.Value) ([]byte, error) {
	return msgp.AppendMapHeader(b, 0), nil
}
func (nothing) decode(b []byte, _ reflect.Value) ([]byte, error) { return msgp.Skip(b) }

// plain is the codec of types that are one word or text.
type plain struct{}

func (plain) append(b []byte, v reflect.Value) ([]byte, error) {
	switch v.Kind() {
	case reflect.Bool:
		return msgp.AppendBool(b, v.Bool()), nil
	case reflect.String:
		return msgp.AppendString(b, v.String()), nil
	case reflect.Float64:
		return msgp.AppendFloat64(b, v.Float()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return msgp.AppendUint64(b, v.Uint()), nil
	default:
		return msgp.AppendInt64(b, v.Int()), nil
	}
}

func (plain) decode(b []byte, v reflect.Value) (rest []byte, err error) {
	switch v.Kind() {
	case reflect.Bool:
		var x bool
		x, rest, err = msgp.ReadBoolBytes(b)
		v.SetBool(x)
	case reflect.String:
		var x string
		x, rest, err = msgp.ReadStringBytes(b)
		v.SetString(x)
	case reflect.Float64:
		var x float64
		x, rest, err = msgp.ReadFloat64Bytes(b)
		v.SetFloat(x)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		var x uint64
		if x, rest, err = msgp.ReadUint64Bytes(b); v.OverflowUint(x) {
			err = fmt.Errorf("%d is more than a %s", x, v.Type())
		}
		v.SetUint(x)
	default:
		var x int64
		if x, rest, err = msgp.ReadInt64Bytes(b); v.OverflowInt(x) {
			err = fmt.Errorf("%d is more than a %s", x, v.Type())
		}
		v.SetInt(x)
	}
	return rest, err
}
