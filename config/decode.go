package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"lictor/catalog"
)

// An Origin is where a key was set.
type Origin struct {
	File string // a path, or the flag
	Line int    // 0 for flags
}

// A decoder writes parsed sources into one configuration, one after the other: scalars override, lists append, maps
// and objects merge.
type decoder struct {
	file     string
	shapes   map[reflect.Type]*shape
	origins  map[string]Origin // by dotted key
	problems Problems
}

func newDecoder() *decoder {
	return &decoder{shapes: map[reflect.Type]*shape{}, origins: map[string]Origin{}}
}

var (
	durationType        = reflect.TypeFor[time.Duration]()
	catalogDurationType = reflect.TypeFor[catalog.Duration]()
	timeType            = reflect.TypeFor[time.Time]()
)

// decode writes a value, found under a dotted key, to a field. Null leaves it alone.
func (d *decoder) decode(to reflect.Value, key string, v *value) {
	if v.kind == nullKind {
		return
	}
	if key != "" {
		d.origins[key] = Origin{File: d.file, Line: v.line}
	}
	switch t := to.Type(); {
	case t == durationType || t == catalogDurationType:
		d.duration(to, key, v)
	case t == timeType:
		d.time(to, key, v)
	default:
		d.byKind(to, key, v)
	}
}

func (d *decoder) byKind(to reflect.Value, key string, v *value) {
	switch to.Kind() {
	case reflect.Pointer:
		if to.IsNil() {
			to.Set(reflect.New(to.Type().Elem()))
		}
		d.decode(to.Elem(), key, v)
	case reflect.Struct:
		d.object(to, key, v)
	case reflect.Slice:
		d.list(to, key, v)
	case reflect.Map:
		d.mapping(to, key, v)
	case reflect.Interface:
		to.Set(reflect.ValueOf(v.plain()))
	default:
		d.scalar(to, key, v)
	}
}

func (d *decoder) scalar(to reflect.Value, key string, v *value) {
	switch to.Kind() {
	case reflect.String:
		if d.wants(stringKind, key, v) {
			to.SetString(v.text)
		}
	case reflect.Bool:
		if d.wants(boolKind, key, v) {
			to.SetBool(v.flag)
		}
	case reflect.Float64:
		if d.wants(numberKind, key, v) {
			d.float(to, key, v)
		}
	default:
		if d.wants(numberKind, key, v) {
			d.integer(to, key, v)
		}
	}
}

func (d *decoder) wants(k kind, key string, v *value) bool {
	if v.kind != k {
		d.wrongType(key, v, k.describe())
	}
	return v.kind == k
}

func (d *decoder) wrongType(key string, v *value, wanted string) {
	got := v.kind.describe()
	switch v.kind {
	case stringKind:
		got = "the string " + strconv.Quote(v.text)
	case numberKind:
		got = "the number " + v.text
	case boolKind:
		got = strconv.FormatBool(v.flag)
	}
	d.problem(Problem{Line: v.line, Key: key, Text: fmt.Sprintf("wants %s, not %s", wanted, got)})
}

func (d *decoder) problem(p Problem) {
	p.File = d.file
	d.problems = append(d.problems, p)
}

func (d *decoder) float(to reflect.Value, key string, v *value) {
	f, err := strconv.ParseFloat(v.text, 64)
	if err != nil {
		d.wrongType(key, v, "a number within range")
		return
	}
	to.SetFloat(f)
}

func (d *decoder) integer(to reflect.Value, key string, v *value) {
	n, err := strconv.ParseInt(v.text, 0, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(v.text, 64)
		if ferr != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			d.wrongType(key, v, "a whole number")
			return
		}
		n = int64(f)
	}
	if to.CanUint() {
		if n < 0 || to.OverflowUint(uint64(n)) {
			d.wrongType(key, v, "a whole number from 0 on")
			return
		}
		to.SetUint(uint64(n))
		return
	}
	to.SetInt(n)
}

func (d *decoder) duration(to reflect.Value, key string, v *value) {
	const wanted = `a duration such as "10s" or "5m"`
	if v.kind != stringKind {
		d.wrongType(key, v, wanted)
		return
	}
	if v.text == "" {
		return
	}
	n, err := time.ParseDuration(v.text)
	if err != nil {
		d.wrongType(key, v, wanted)
		return
	}
	to.SetInt(int64(n))
}

func (d *decoder) time(to reflect.Value, key string, v *value) {
	t, err := time.Parse(time.RFC3339, v.text)
	if v.kind != stringKind || err != nil {
		d.wrongType(key, v, `a time such as "2025-01-02T15:04:05Z"`)
		return
	}
	to.Set(reflect.ValueOf(t))
}

// list appends the elements of a list. A single object stands for a list of one, as HCL blocks want it.
func (d *decoder) list(to reflect.Value, key string, v *value) {
	elements := v.list
	if v.kind == objectKind && isObject(to.Type().Elem()) {
		elements = []*value{v}
	} else if v.kind != listKind {
		d.wrongType(key, v, "a list")
		return
	}
	for _, e := range elements {
		at := fmt.Sprintf("%s[%d]", key, to.Len())
		if e.kind == nullKind {
			continue
		}
		element := reflect.New(to.Type().Elem()).Elem()
		d.decode(element, at, e)
		to.Set(reflect.Append(to, element))
	}
}

func isObject(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Map
}

// mapping merges the keys of an object, or of a list of them, into a map.
func (d *decoder) mapping(to reflect.Value, key string, v *value) {
	if !d.allObjects(key, v) {
		return
	}
	if to.IsNil() {
		to.Set(reflect.MakeMap(to.Type()))
	}
	if to.Type().Elem().Kind() == reflect.Interface {
		for _, object := range v.objects() {
			for name, content := range object.plainObject() {
				to.SetMapIndex(reflect.ValueOf(name), reflect.ValueOf(&content).Elem())
			}
		}
		return
	}
	for _, object := range v.objects() {
		for _, f := range object.fields {
			content := reflect.New(to.Type().Elem()).Elem()
			d.decode(content, key+"."+f.name, f.value)
			to.SetMapIndex(reflect.ValueOf(f.name), content)
		}
	}
}

func (d *decoder) allObjects(key string, v *value) bool {
	if v.kind == objectKind {
		return true
	}
	if v.kind != listKind || len(v.objects()) != len(v.list) {
		d.wrongType(key, v, objectKind.describe())
		return false
	}
	return true
}

// object decodes the keys of an object, or of a list of them, into a struct.
func (d *decoder) object(to reflect.Value, key string, v *value) {
	if !d.allObjects(key, v) {
		return
	}
	s := d.shape(to.Type())
	for _, object := range v.objects() {
		for _, f := range object.fields {
			dotted := f.name
			if key != "" {
				dotted = key + "." + f.name
			}
			k, ok := s.find(f.name)
			if !ok {
				d.problem(Problem{Line: f.line, Key: dotted, Text: "unknown key", Unknown: true, Hint: s.hint(f.name)})
				continue
			}
			if key != "" {
				dotted = key + "." + k.name
			} else {
				dotted = k.name
			}
			d.decode(to.FieldByIndex(k.index), dotted, f.value)
		}
	}
}
