package raftstore

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// Every command has a golden file of its encoding with every field set: servers of different versions share a log.
func TestEncodingOfCommands(t *testing.T) {
	ids := map[byte]bool{}
	c := newCodec()
	for _, kind := range commands {
		if ids[kind.id] {
			t.Errorf("two commands have the id %d", kind.id)
		}
		ids[kind.id] = true
		cmd := kind.new()
		fill(reflect.ValueOf(cmd).Elem())
		entry, err := c.encode(cmd)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join("testdata", fmt.Sprintf("%03d-%s.hex", kind.id, reflect.TypeOf(cmd).Elem()))
		if *update {
			if err := os.WriteFile(name, []byte(hex.EncodeToString(entry)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := os.ReadFile(name)
		if err != nil {
			t.Errorf("%T has no golden file: run the tests with -update, and never change one that has been released", cmd)
			continue
		}
		if string(bytes.TrimSpace(golden)) != hex.EncodeToString(entry) {
			t.Errorf("%T is encoded differently than in %s", cmd, name)
		}
		_, back, err := c.decode(entry)
		if err != nil || !reflect.DeepEqual(back, cmd) {
			t.Errorf("%T does not survive its encoding: %+v, %v", cmd, back, err)
		}
	}
}

// fill sets every field to something, maps and slices to one element.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Interface:
		v.Set(reflect.ValueOf("any"))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		key, element := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(element)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, element)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1700000000, 0).UTC()))
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i))
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	c := newCodec()
	for _, kind := range commands {
		cmd := kind.new()
		fill(reflect.ValueOf(cmd).Elem())
		entry, err := c.encode(cmd)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(entry)
	}
	f.Fuzz(func(t *testing.T, entry []byte) { c.decode(entry) })
}
