package configentry

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"lictor/catalog"
)

// decode copies a form into a struct, as forgiving as Consul: the case of names and underscores in them do not matter,
// numbers and texts stand for each other, one value stands for a list of one, and null for nothing.
func decode(from map[string]any, into any, strict bool) error {
	d := &decoder{}
	d.fields(from, reflect.ValueOf(into).Elem(), "")
	if len(d.wrong) > 0 {
		slices.Sort(d.wrong)
		return fmt.Errorf("%d error(s) decoding:\n\n* %s", len(d.wrong), strings.Join(d.wrong, "\n* "))
	}
	if strict && len(d.unknown) > 0 {
		slices.Sort(d.unknown)
		text := "1 error occurred:"
		if len(d.unknown) > 1 {
			text = fmt.Sprintf("%d errors occurred:", len(d.unknown))
		}
		for _, u := range d.unknown {
			text += fmt.Sprintf("\n\t* invalid config key %q", u)
		}
		return fmt.Errorf("%s\n\n", text)
	}
	return nil
}

type decoder struct {
	wrong   []string
	unknown []string
}

func (d *decoder) mismatch(at, want string, v any) {
	d.wrong = append(d.wrong, fmt.Sprintf("'%s' expected %s, got '%s'", at, want, typeName(v)))
}

func typeName(v any) string {
	if v == nil {
		return "null"
	}
	return reflect.TypeOf(v).String()
}

func fold(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// field finds a struct's field by a name that a client wrote.
func field(s reflect.Value, name string) reflect.Value {
	t := s.Type()
	for i := range t.NumField() {
		if f := t.Field(i); fold(f.Name) == fold(name) || f.Tag.Get("alias") == name {
			return s.Field(i)
		}
	}
	return reflect.Value{}
}

func (d *decoder) fields(from map[string]any, into reflect.Value, at string) {
	for name, v := range from {
		path := name
		if at != "" {
			path = at + "." + name
		}
		f := field(into, name)
		switch {
		case fold(name) == "namespace" || fold(name) == "partition": // of the free edition there is one
		case !f.IsValid():
			d.unknown = append(d.unknown, path)
		default:
			d.value(v, f, path)
		}
	}
}

var (
	durationType = reflect.TypeFor[catalog.Duration]()
	numberType   = reflect.TypeFor[Nanoseconds]()
	timeType     = reflect.TypeFor[time.Time]()
)

func (d *decoder) value(v any, into reflect.Value, at string) {
	if v == nil {
		return
	}
	switch into.Type() {
	case durationType, numberType:
		d.duration(v, into, at)
		return
	case timeType:
		t, err := time.Parse(time.RFC3339Nano, fmt.Sprint(v))
		if err != nil {
			d.wrong = append(d.wrong, fmt.Sprintf("error decoding '%s': %v", at, err))
			return
		}
		into.Set(reflect.ValueOf(t))
		return
	}
	switch into.Kind() {
	case reflect.Pointer:
		fresh := reflect.New(into.Type().Elem())
		d.value(v, fresh.Elem(), at)
		into.Set(fresh)
	case reflect.Struct:
		if m, ok := asMap(v); ok {
			d.fields(m, into, at)
		} else {
			d.mismatch(at, "a map", v)
		}
	case reflect.Slice:
		d.list(v, into, at)
	case reflect.Map:
		d.entries(v, into, at)
	case reflect.Interface:
		into.Set(reflect.ValueOf(plain(v)))
	default:
		d.scalar(v, into, at)
	}
}

// asMap reads a struct, which HCL gives as a list of one.
func asMap(v any) (map[string]any, bool) {
	switch m := v.(type) {
	case map[string]any:
		return m, true
	case []map[string]any:
		if len(m) == 1 {
			return m[0], true
		}
	case []any:
		if len(m) == 1 {
			one, ok := m[0].(map[string]any)
			return one, ok
		}
	}
	return nil, false
}

// plain is what a client wrote, without the lists that HCL makes of blocks.
func plain(v any) any {
	switch v := v.(type) {
	case []map[string]any:
		if len(v) == 1 {
			return plain(v[0])
		}
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i])
		}
		return list
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i])
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for k := range v {
			m[k] = plain(v[k])
		}
		return m
	}
	return v
}

func (d *decoder) list(v any, into reflect.Value, at string) {
	from := reflect.ValueOf(v)
	if from.Kind() != reflect.Slice {
		if into.Type().Elem().Kind() == reflect.Uint8 {
			into.SetBytes([]byte(fmt.Sprint(v)))
			return
		}
		from = reflect.ValueOf([]any{v})
	}
	list := reflect.MakeSlice(into.Type(), from.Len(), from.Len())
	for i := range from.Len() {
		d.value(from.Index(i).Interface(), list.Index(i), fmt.Sprintf("%s[%d]", at, i))
	}
	into.Set(list)
}

func (d *decoder) entries(v any, into reflect.Value, at string) {
	from, ok := asMap(v)
	if !ok {
		d.mismatch(at, "a map", v)
		return
	}
	m := reflect.MakeMap(into.Type())
	for k, item := range from {
		e := reflect.New(into.Type().Elem()).Elem()
		d.value(item, e, fmt.Sprintf("%s[%s]", at, k))
		if e.Kind() == reflect.Interface && e.IsNil() {
			e.SetZero()
		}
		m.SetMapIndex(reflect.ValueOf(k), e)
	}
	into.Set(m)
}

func (d *decoder) duration(v any, into reflect.Value, at string) {
	switch v := v.(type) {
	case string:
		var t catalog.Duration
		if err := t.UnmarshalText([]byte(v)); err != nil {
			d.wrong = append(d.wrong, fmt.Sprintf("error decoding '%s': %v", at, err))
			return
		}
		into.SetInt(int64(t))
	case float64, int, int64, uint64, json.Number:
		d.scalar(v, into, at)
	default:
		d.mismatch(at, "a duration", v)
	}
}

// scalar reads texts, numbers and truth values, each of which may stand for another.
func (d *decoder) scalar(v any, into reflect.Value, at string) {
	text, ok := "", true
	switch v := v.(type) {
	case string:
		text = v
	case bool:
		text = strconv.FormatBool(v)
		if into.Kind() != reflect.Bool {
			text = map[bool]string{false: "0", true: "1"}[v]
		}
	case float64:
		text = strconv.FormatFloat(v, 'f', -1, 64)
	case int, int64, uint64, json.Number:
		text = fmt.Sprint(v)
	default:
		ok = false
	}
	if !ok {
		d.mismatch(at, "type '"+into.Type().String()+"'", v)
		return
	}
	var err error
	switch into.Kind() {
	case reflect.String:
		into.SetString(text)
	case reflect.Bool:
		var b bool
		if n, numeric := strconv.ParseFloat(text, 64); numeric == nil {
			b = n != 0
		} else if text != "" {
			b, err = strconv.ParseBool(text)
		}
		into.SetBool(b)
	case reflect.Int, reflect.Int64:
		var n int64
		if n, err = strconv.ParseInt(whole(text), 10, 64); err == nil {
			into.SetInt(n)
		}
	case reflect.Uint32, reflect.Uint64:
		var n uint64
		if n, err = strconv.ParseUint(whole(text), 10, into.Type().Bits()); err == nil {
			into.SetUint(n)
		}
	case reflect.Float32, reflect.Float64:
		var f float64
		if f, err = strconv.ParseFloat(text, into.Type().Bits()); err == nil {
			into.SetFloat(f)
		}
	}
	if err != nil {
		d.wrong = append(d.wrong, fmt.Sprintf("cannot parse '%s' as %s: %v", at, into.Kind(), err))
	}
}

// whole cuts off what follows the point of a number, as Consul does.
func whole(text string) string {
	if text == "" {
		return "0"
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && strings.ContainsAny(text, ".") {
		return strconv.FormatFloat(float64(int64(f)), 'f', 0, 64)
	}
	return text
}
