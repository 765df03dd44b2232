package rpc

import (
	"reflect"

	"github.com/tinylib/msgp/msgp"
)

// pointer is the codec of pointers to what of encodes.
type pointer struct{ of codec }

func (c pointer) append(b []byte, v reflect.Value) ([]byte, error) {
	if v.IsNil() {
		return msgp.AppendNil(b), nil
	}
	return c.of.append(b, v.Elem())
}

func (c pointer) decode(b []byte, v reflect.Value) ([]byte, error) {
	if msgp.IsNil(b) {
		v.SetZero()
		return b[1:], nil
	}
	p := reflect.New(v.Type().Elem())
	v.Set(p)
	return c.of.decode(b, p.Elem())
}

// slice is the codec of slices of what of encodes.
type slice struct{ of codec }

func (c slice) append(b []byte, v reflect.Value) (_ []byte, err error) {
	if v.IsNil() {
		return msgp.AppendNil(b), nil
	}
	b = msgp.AppendArrayHeader(b, uint32(v.Len()))
	for i := 0; i < v.Len() && err == nil; i++ {
		b, err = c.of.append(b, v.Index(i))
	}
	return b, err
}

func (c slice) decode(b []byte, v reflect.Value) ([]byte, error) {
	if msgp.IsNil(b) {
		v.SetZero()
		return b[1:], nil
	}
	n, b, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil {
		return b, err
	}
	v.Set(reflect.MakeSlice(v.Type(), int(n), int(n)))
	for i := 0; i < int(n) && err == nil; i++ {
		b, err = c.of.decode(b, v.Index(i))
	}
	return b, err
}

// octets is the codec of slices of bytes.
type octets struct{}

func (octets) append(b []byte, v reflect.Value) ([]byte, error) {
	if v.IsNil() {
		return msgp.AppendNil(b), nil
	}
	return msgp.AppendBytes(b, v.Bytes()), nil
}

func (octets) decode(b []byte, v reflect.Value) ([]byte, error) {
	if msgp.IsNil(b) {
		v.SetZero()
		return b[1:], nil
	}
	x, rest, err := msgp.ReadBytesBytes(b, []byte{})
	v.SetBytes(x)
	return rest, err
}

// table is the codec of maps from strings to what of encodes.
type table struct{ of codec }

func (c table) append(b []byte, v reflect.Value) (_ []byte, err error) {
	if v.IsNil() {
		return msgp.AppendNil(b), nil
	}
	b = msgp.AppendMapHeader(b, uint32(v.Len()))
	value := reflect.New(v.Type().Elem()).Elem()
	for i := v.MapRange(); i.Next() && err == nil; {
		value.SetIterValue(i)
		b, err = c.of.append(msgp.AppendString(b, i.Key().String()), value)
	}
	return b, err
}

func (c table) decode(b []byte, v reflect.Value) ([]byte, error) {
	if msgp.IsNil(b) {
		v.SetZero()
		return b[1:], nil
	}
	n, b, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		return b, err
	}
	m := reflect.MakeMapWithSize(v.Type(), int(n))
	v.Set(m)
	for range n {
		var key string
		if key, b, err = msgp.ReadStringBytes(b); err != nil {
			return b, err
		}
		value := reflect.New(v.Type().Elem()).Elem()
		if b, err = c.of.decode(b, value); err != nil {
			return b, err
		}
		m.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), value)
	}
	return b, nil
}
