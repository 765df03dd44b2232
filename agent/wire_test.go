package agent

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lictor/acl"
	"lictor/catalog"
	"lictor/rpc"
	"lictor/view"
)

// protocol is what servers are asked for: the types of all methods and queries, by name.
func protocol() (methods, queries map[string]rpc.Types) {
	var registry rpc.Registry[acl.Authorizer]
	views := view.New(view.Config{})
	s := &services{}
	s.methods(&registry)
	s.queries(views)
	return registry.Types(), views.Types()
}

// Every argument and reply is the same after it has travelled: as JSON shows it, and in what JSON leaves out.
func TestEverythingTravels(t *testing.T) {
	methods, queries := protocol()
	all := maps.Clone(methods)
	maps.Copy(all, queries)
	for name, types := range all {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(200) {
				f := filler{rand.New(rand.NewPCG(seed, 1))}
				for _, typ := range []reflect.Type{types.Args, types.Reply} {
					f.travel(t, typ)
				}
			}
		})
	}
	for name, types := range queries {
		f := filler{rand.New(rand.NewPCG(7, 7))}
		args, back := reflect.New(types.Args), reflect.New(types.Args)
		f.fill(args.Elem(), 0)
		b, err := rpc.Append(nil, args.Interface())
		if err != nil {
			t.Fatal(err)
		}
		if err := rpc.Decode(b, back.Interface()); err != nil || !args.Elem().Equal(back.Elem()) {
			t.Errorf("arguments of %s are not equal to themselves after they have travelled: %v", name, err)
		}
	}
}

// FuzzWire feeds whatever comes to the decoder of any type: what it takes can be sent again.
func FuzzWire(f *testing.F) {
	methods, queries := protocol()
	maps.Copy(methods, queries)
	var all []reflect.Type
	for _, name := range slices.Sorted(maps.Keys(methods)) {
		all = append(all, methods[name].Args, methods[name].Reply)
	}
	for i, typ := range all {
		v := reflect.New(typ)
		filler{rand.New(rand.NewPCG(uint64(i), 2))}.fill(v.Elem(), 0)
		b, err := rpc.Append(nil, v.Interface())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i, b)
	}
	f.Fuzz(func(t *testing.T, i int, b []byte) {
		typ := all[uint(i)%uint(len(all))]
		v := reflect.New(typ)
		if err := rpc.Decode(b, v.Interface()); err != nil {
			if rpc.CodeOf(err) != rpc.Invalid {
				t.Errorf("%s: %v", typ, err)
			}
			return
		}
		if _, err := rpc.Append(nil, v.Interface()); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
	})
}

// A filler fills values at random.
type filler struct{ *rand.Rand }

func (f filler) travel(t *testing.T, typ reflect.Type) {
	t.Helper()
	was, is := reflect.New(typ), reflect.New(typ)
	f.fill(was.Elem(), 0)
	b, err := rpc.Append([]byte("before"), was.Interface())
	if err != nil {
		t.Fatal(err)
	}
	if err := rpc.Decode(b[len("before"):], is.Interface()); err != nil {
		t.Fatalf("%s: %v", typ, err)
	}
	a, err := json.Marshal(was.Interface())
	if err != nil {
		t.Fatal(err)
	}
	if b, err := json.Marshal(is.Interface()); err != nil || string(a) != string(b) {
		t.Fatalf("%s was\n%s\nand is, after it has travelled,\n%s %v", typ, a, b, err)
	}
	if !reflect.DeepEqual(was.Interface(), is.Interface()) {
		t.Fatalf("%s differs from what was sent in what JSON does not show:\n%+v\n%+v", typ, was.Elem(), is.Elem())
	}
}

func (f filler) text() string {
	return []string{"", "a", "Web-1", "ü€😀", "<&>", "\x00", strings.Repeat("x", 300), fmt.Sprint(f.Uint64())}[f.IntN(8)]
}

func (f filler) fill(v reflect.Value, depth int) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(f.Int64N(1<<33), f.Int64N(1e9)).UTC()))
		return
	case catalog.Pairs:
		v.Set(reflect.ValueOf(catalog.PairsOf(map[string]string{"k" + f.text(): "v"})))
		return
	case catalog.Sidecar:
		v.SetString([]string{"", `{"Name":"x"}`}[f.IntN(2)])
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(f.IntN(2) == 0)
	case reflect.String:
		v.SetString(f.text())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(f.Int64() >> f.IntN(64) * int64(1-2*f.IntN(2)))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(f.Uint64() >> f.IntN(64) & (1<<v.Type().Bits() - 1))
	case reflect.Float64:
		v.SetFloat(f.NormFloat64())
	case reflect.Interface:
		if x := f.loose(depth); x != nil {
			v.Set(reflect.ValueOf(x))
		}
	case reflect.Pointer:
		if f.IntN(4) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem(), depth+1)
		}
	case reflect.Slice:
		f.fillSlice(v, depth)
	case reflect.Map:
		f.fillMap(v, depth)
	case reflect.Struct:
		f.fillStruct(v, depth)
	}
}

// fillSlice leaves named slices nil rather than empty: their generated code does not tell these apart, and neither does
// their JSON, where clients see it.
func (f filler) fillSlice(v reflect.Value, depth int) {
	n := f.IntN(4) - 1
	if n < 0 || n == 0 && v.Type().Name() != "" {
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	for i := range n {
		f.fill(v.Index(i), depth+1)
	}
}

func (f filler) fillMap(v reflect.Value, depth int) {
	n := f.IntN(4) - 1
	if n < 0 {
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for range n {
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		f.fill(key, depth+1)
		f.fill(value, depth+1)
		v.SetMapIndex(key, value)
	}
}

// fillStruct fills the fields that travel. Lists that are left out where they are empty come back as nil.
func (f filler) fillStruct(v reflect.Value, depth int) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		tag := field.Tag.Get("msg")
		if !field.IsExported() || tag == "-" {
			continue
		}
		f.fill(v.Field(i), depth+1)
		if k := field.Type.Kind(); k == reflect.Slice && strings.HasSuffix(tag, ",omitempty") && v.Field(i).Len() == 0 {
			v.Field(i).SetZero()
		}
	}
}

// loose is any JSON.
func (f filler) loose(depth int) any {
	switch n := f.IntN(7); {
	case n == 0:
		return nil
	case n == 1:
		return f.IntN(2) == 0
	case n == 2:
		return f.NormFloat64()
	case n == 3 && depth < 8:
		list := make([]any, f.IntN(3))
		for i := range list {
			list[i] = f.loose(depth + 1)
		}
		return list
	case n == 4 && depth < 8:
		m := map[string]any{}
		for range f.IntN(3) {
			m[f.text()] = f.loose(depth + 1)
		}
		return m
	}
	return f.text()
}
