package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"lictor/rpc"
)

type name string

func TestCodecs(t *testing.T) {
	one := "one"
	for _, v := range []any{
		new(struct{}), new(bool), ptr(true), new(string), ptr("text"), ptr(int64(-1) << 63), ptr(^uint64(0)), ptr(uint8(255)),
		ptr(1.5), ptr(90 * time.Second), ptr(name("n")),
		new([]string), &[]string{}, &[]string{"a", ""}, new([]byte), &[]byte{}, &[]byte{0, 1}, &[][]int{nil, {}, {1}},
		new(*string), ptr(&one), &[]*string{nil, &one},
		new(map[string]int), &map[string]int{}, &map[name][]string{"a": nil, "b": {}, "c": {"x"}},
		ptr(ptr(map[string]*[]bool{"x": nil, "y": {true}})),
	} {
		b, err := rpc.Append([]byte("before"), v)
		if err != nil {
			t.Errorf("%T: %v", v, err)
			continue
		}
		back := reflect.New(reflect.TypeOf(v).Elem())
		if err := rpc.Decode(bytes.TrimPrefix(b, []byte("before")), back.Interface()); err != nil {
			t.Errorf("%T: %v", v, err)
		}
		if !reflect.DeepEqual(v, back.Interface()) {
			t.Errorf("%T %#v became %#v", v, reflect.ValueOf(v).Elem(), back.Elem())
		}
	}
}

func ptr[T any](v T) *T { return &v }

func TestWhatCannotTravel(t *testing.T) {
	for _, v := range []any{new(any), new(struct{ X int }), new(map[int]string), new([]chan int), new(func()), new([2]int), new(float32)} {
		if b, err := rpc.Append(nil, v); err == nil {
			t.Errorf("%T travels as %x", v, b)
		}
	}
	var r rpc.Registry[bool]
	defer func() {
		if said := recover(); said == nil || !strings.Contains(said.(string), "Test.Method") {
			t.Errorf("a method whose arguments cannot travel was registered: %v", said)
		}
	}()
	rpc.Handle(&r, rpc.Method[struct{ X int }, bool]{Name: "Test.Method"}, nil)
}

func TestMalformed(t *testing.T) {
	for what, c := range map[string]struct {
		in   string
		into any
	}{
		"nothing":            {"", new(string)},
		"another type":       {"\xc3", new(string)},
		"an unused byte":     {"\xc1", new(string)},
		"a short string":     {"\xa5abc", new(string)},
		"a huge string":      {"\xdb\xff\xff\xff\xff", new(string)},
		"a huge list":        {"\xdd\xff\xff\xff\xff", new([]string)},
		"a huge map":         {"\xdf\xff\xff\xff\xff", new(map[string]int)},
		"a short map":        {"\x82\xa1a\x01", new(map[string]int)},
		"a header cut off":   {"\xdd\xff", new([]string)},
		"more than one":      {"\xc0\xc0", new([]string)},
		"too large a number": {"\xcd\x01\x00", new(uint8)},
		"numbers as keys":    {"\x81\x01\x01", new(map[string]int)},
		"nil for a number":   {"\xc0", new(int)},
		"a list of lists":    {"\xdd\x00\x00\x00\x02\xdd\xff\xff\xff\xff\xc0", new([][]string)},
	} {
		err := rpc.Decode([]byte(c.in), c.into)
		if rpc.CodeOf(err) != rpc.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Lengths that only claim allocate nothing.
func TestClaimsAllocateNothing(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		_ = rpc.Decode([]byte("\xdd\x00\xff\xff\xff\xc0"), new([]string))
		_ = rpc.Decode([]byte("\x92\xdf\x00\xff\xff\xff\xc0"), new([]map[string]string))
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes allocated", n)
	}
}

func TestAnswer(t *testing.T) {
	var r rpc.Registry[bool]
	twice := rpc.Method[string, []string]{Name: "Test.Twice"}
	refused := errors.New("refused")
	rpc.Handle(&r, twice, func(_ context.Context, may bool, s *string) ([]string, error) {
		if !may {
			return nil, refused
		}
		return []string{*s, *s}, nil
	})
	b, err := r.Answer(t.Context(), true, "Test.Twice", msgp.AppendString(nil, "x"))
	var got []string
	if err != nil || rpc.Decode(b, &got) != nil || !reflect.DeepEqual(got, []string{"x", "x"}) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := r.Answer(t.Context(), false, "Test.Twice", msgp.AppendString(nil, "x")); !errors.Is(err, refused) {
		t.Errorf("refused with %v", err)
	}
	if _, err := r.Answer(t.Context(), true, "Test.Twice", []byte{0xc0}); rpc.CodeOf(err) != rpc.Invalid {
		t.Errorf("malformed: %v", err)
	}
	if _, err := r.Answer(t.Context(), true, "Test.Thrice", nil); rpc.CodeOf(err) != rpc.NotImplemented {
		t.Errorf("unknown: %v", err)
	}
	if types := r.Types()["Test.Twice"]; types.Args != reflect.TypeFor[string]() || types.Reply != reflect.TypeFor[[]string]() {
		t.Errorf("types %v", types)
	}
}

func FuzzDecode(f *testing.F) {
	type deep = map[string][]*map[string][]byte
	for _, s := range []string{"", "\xc0", "\x81\xa1a\x91\x81\xa1b\xc4\x01x", "\xdf\xff\xff\xff\xff", "\xde\x00\x01\xa0\x90", "\xd6\x00\x00\x00\x00\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var v deep
		if rpc.Decode(b, &v) != nil {
			return
		}
		again, err := rpc.Append(nil, &v)
		var back deep
		if err != nil || rpc.Decode(again, &back) != nil || !reflect.DeepEqual(v, back) {
			t.Errorf("%#v became %#v: %v", v, back, err)
		}
	})
}
