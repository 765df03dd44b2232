package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
)

//go:generate go tool msgp -o sidecar_gen.go -tests=false -io=false

// A Sidecar is a sidecar's definition as it came with an instance that was registered in the catalog, where nothing
// comes of it: only agents make sidecars. It is the JSON that Consul shows for it, with every field; "" is none.
type Sidecar string

// UnmarshalJSON reads a definition.
func (s *Sidecar) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	var d ServiceDefinition
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return err
	}
	shown := everyField(reflect.ValueOf(d)).(map[string]any)
	if d.Kind == "" {
		delete(shown, "Kind")
	}
	if shown["Check"] == nil {
		shown["Check"] = everyField(reflect.ValueOf(CheckDefinition{}))
	}
	text, err := json.Marshal(shown)
	*s = Sidecar(text)
	return err
}

// MarshalJSON writes the definition as it is shown.
func (s Sidecar) MarshalJSON() ([]byte, error) {
	if s == "" {
		return []byte("null"), nil
	}
	if !json.Valid([]byte(s)) {
		return nil, fmt.Errorf("a sidecar's definition is not JSON")
	}
	return []byte(s), nil
}

// everyField makes what is shown of a definition's part: all fields by their names, durations as numbers.
func everyField(v reflect.Value) any {
	switch value := v.Interface().(type) {
	case Duration:
		return int64(value)
	case Proxy, Weights, Locality, ServiceAddress:
		return value
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return everyField(v.Elem())
	case reflect.Slice:
		if v.IsNil() || v.Type().Elem().Kind() == reflect.String {
			return v.Interface()
		}
		list := make([]any, v.Len())
		for i := range list {
			list[i] = everyField(v.Index(i))
		}
		return list
	case reflect.Struct:
		fields := map[string]any{}
		for i := range v.NumField() {
			fields[v.Type().Field(i).Name] = everyField(v.Field(i))
		}
		if d, ok := v.Interface().(CheckDefinition); ok {
			d.showAs(fields)
		}
		return fields
	}
	return v.Interface()
}

// showAs corrects what is shown of a check where Consul has other fields.
func (d *CheckDefinition) showAs(fields map[string]any) {
	delete(fields, "ID")
	delete(fields, "ServiceID")
	delete(fields, "Token")
	if fields["CheckID"] == "" {
		fields["CheckID"] = d.ID
	}
	fields["H2PingUseTLS"] = d.H2PingUseTLS != nil && *d.H2PingUseTLS
	fields["ProxyGRPC"], fields["ProxyHTTP"] = "", ""
}
