package consulsnap

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// Fields are those of a row, or of a struct in it, by Consul's names for them: nil, bool, int64, uint64, float64, string,
// []any or map[string]any.
type Fields map[string]any

// Fields decodes the row, which must be a struct.
func (r *Row) Fields() (Fields, error) {
	all, err := r.Structs()
	if err == nil && len(all) != 1 {
		err = fmt.Errorf("%w: a row of kind %s is no struct", ErrDamaged, r.Kind)
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Structs decodes the row, which must be a struct or a list of them, as the one of all coordinates is.
func (r *Row) Structs() ([]Fields, error) {
	v, err := r.Value()
	if err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	all := make([]Fields, len(list))
	for i := range list {
		m, ok := list[i].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%w: a row of kind %s is no struct", ErrDamaged, r.Kind)
		}
		all[i] = m
	}
	return all, nil
}

// Value decodes the row.
func (r *Row) Value() (any, error) {
	d := decoder{left: maxParts}
	v, rest, err := d.value(r.Raw, maxDepth)
	if err == nil && r.Kind == ConfigEntry {
		if s, ok := v.(string); ok { // which packs itself: its kind, and then the request that would write it
			v, rest, err = d.entry([]byte(s))
		}
	}
	if err == nil && len(rest) > 0 {
		err = errors.New("more than one value")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: a row of kind %s: %w", ErrDamaged, r.Kind, err)
	}
	return v, nil
}

// A decoder decodes one row.
type decoder struct{ left int }

func (d *decoder) entry(b []byte) (any, []byte, error) {
	_, b, err := d.value(b, maxDepth)
	if err != nil {
		return nil, b, err
	}
	v, b, err := d.value(b, maxDepth)
	request, _ := v.(map[string]any)
	if err == nil && request["Entry"] == nil {
		err = errors.New("no entry in it")
	}
	return request["Entry"], b, err
}

func (d *decoder) value(b []byte, depth int) (v any, rest []byte, err error) {
	if d.left--; d.left < 0 || depth == 0 {
		return nil, b, errors.New("too many values, or too deep")
	}
	switch msgp.NextType(b) {
	case msgp.NilType:
		rest, err = msgp.ReadNilBytes(b)
	case msgp.BoolType:
		v, rest, err = msgp.ReadBoolBytes(b)
	case msgp.IntType:
		v, rest, err = msgp.ReadInt64Bytes(b)
	case msgp.UintType:
		v, rest, err = msgp.ReadUint64Bytes(b)
	case msgp.Float32Type, msgp.Float64Type:
		v, rest, err = msgp.ReadFloat64Bytes(b)
	case msgp.StrType:
		v, rest, err = msgp.ReadStringBytes(b)
	case msgp.BinType:
		var bin []byte
		bin, rest, err = msgp.ReadBytesZC(b)
		v = string(bin)
	case msgp.ArrayType:
		return d.list(b, depth)
	case msgp.MapType:
		return d.fields(b, depth)
	default:
		return nil, b, fmt.Errorf("a value of type %s", msgp.NextType(b))
	}
	return v, rest, err
}

func (d *decoder) list(b []byte, depth int) (any, []byte, error) {
	n, b, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil {
		return nil, b, err
	}
	if int(n) > len(b) {
		return nil, b, errors.New("a list is longer than its row")
	}
	list := make([]any, 0, min(int(n), 1024))
	for range n {
		var v any
		if v, b, err = d.value(b, depth-1); err != nil {
			return nil, b, err
		}
		list = append(list, v)
	}
	return list, b, nil
}

func (d *decoder) fields(b []byte, depth int) (any, []byte, error) {
	n, b, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		return nil, b, err
	}
	if int(n) > len(b) {
		return nil, b, errors.New("a map is longer than its row")
	}
	fields := make(map[string]any, min(int(n), 1024))
	for range n {
		var key, v any
		if key, b, err = d.value(b, 1); err != nil {
			return nil, b, err
		}
		name, ok := key.(string)
		if !ok {
			return nil, b, errors.New("a key that is no text")
		}
		if v, b, err = d.value(b, depth-1); err != nil {
			return nil, b, err
		}
		fields[name] = v
	}
	return fields, b, nil
}

// String is a field of text, or of bytes; "" if there is none.
func (f Fields) String(name string) string {
	s, _ := f[name].(string)
	return s
}

// Uint is a number; 0 if there is none.
func (f Fields) Uint(name string) uint64 {
	switch n := f[name].(type) {
	case uint64:
		return n
	case int64:
		return uint64(max(n, 0))
	}
	return 0
}

// Bool is a truth value; false if there is none.
func (f Fields) Bool(name string) bool {
	b, _ := f[name].(bool)
	return b
}

// Struct is a struct within; nil if there is none.
func (f Fields) Struct(name string) Fields {
	m, _ := f[name].(map[string]any)
	return m
}

// packedTime is how many bytes a time has, or one more if its offset from UTC has seconds.
const packedTime = 15

// Time reads a field as a point in time; a zero one is none.
func (f Fields) Time(name string) (time.Time, error) {
	s := f.String(name)
	if s == "" {
		return time.Time{}, nil
	}
	var t time.Time
	if len(s) < packedTime || t.UnmarshalBinary([]byte(s)) != nil {
		return t, fmt.Errorf("%w: %s is no time", ErrDamaged, name)
	}
	return t.UTC(), nil
}

// Times makes of fields that are times what JSON has for them, and takes those away that are empty.
func (f Fields) Times(names ...string) error {
	for _, name := range names {
		t, err := f.Time(name)
		if err != nil {
			return err
		}
		if delete(f, name); !t.IsZero() {
			f[name] = t.Format(time.RFC3339Nano)
		}
	}
	return nil
}

// Bytes makes of fields that are bytes what JSON has for them.
func (f Fields) Bytes(names ...string) {
	for _, name := range names {
		if s, ok := f[name].(string); ok {
			f[name] = base64.StdEncoding.EncodeToString([]byte(s))
		}
	}
}

// Into copies the fields into a struct of ours, whose JSON has Consul's names. Fields that it does not have are left out.
func (f Fields) Into(v any) error {
	text, err := json.Marshal(f)
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// JSON decodes the row into what JSON can show: text that is none, such as times and hashes, is shown as a time or in
// base64.
func (r *Row) JSON() (any, error) {
	v, err := r.Value()
	if err != nil {
		return nil, err
	}
	if e, ok := v.(map[string]any); ok && r.Kind == KVS {
		Fields(e).Bytes("Value")
	}
	return shown(v), nil
}

func shown(v any) any {
	switch v := v.(type) {
	case string:
		if utf8.ValidString(v) && !strings.ContainsRune(v, 0) {
			return v
		}
		var t time.Time
		if (len(v) == packedTime || len(v) == packedTime+1) && t.UnmarshalBinary([]byte(v)) == nil {
			return t.UTC().Format(time.RFC3339Nano)
		}
		if ip, ok := netip.AddrFromSlice([]byte(v)); ok {
			return ip.Unmap().String()
		}
		return base64.StdEncoding.EncodeToString([]byte(v))
	case []any:
		for i := range v {
			v[i] = shown(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = shown(v[k])
		}
	}
	return v
}
