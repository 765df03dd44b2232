package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"

	"lictor/catalog"
)

// decodeService reads the body of /v1/agent/service/register.
func decodeService(r *http.Request) (*catalog.ServiceDefinition, error) {
	type Alias catalog.ServiceDefinition // messages name it so
	body := struct{ *Alias }{&Alias{}}
	if err := decodeDefinition(r, &body, reflect.TypeFor[Alias]()); err != nil {
		return nil, err
	}
	return (*catalog.ServiceDefinition)(body.Alias), nil
}

// decodeCheck reads the body of /v1/agent/check/register.
func decodeCheck(r *http.Request) (*catalog.CheckDefinition, error) {
	type Alias catalog.CheckDefinition // messages name it so
	body := struct{ *Alias }{&Alias{}}
	if err := decodeDefinition(r, &body, reflect.TypeFor[Alias]()); err != nil {
		return nil, err
	}
	return (*catalog.CheckDefinition)(body.Alias), nil
}

// decodeDefinition reads a definition of type t into body. Its keys are read without regard to case, and also as they
// stand in configuration files; keys that Consul does not know are refused, those of features without a part here are
// not kept.
func decodeDefinition(r *http.Request, body any, t reflect.Type) error {
	var raw json.RawMessage
	if err := decode(r, &raw, nil); err != nil {
		return err
	}
	tree := json.NewDecoder(bytes.NewReader(raw))
	tree.UseNumber()
	var value any
	if err := tree.Decode(&value); err != nil {
		return badRequest("Request decode failed: " + err.Error())
	}
	if value == nil {
		return nil
	}
	renamed, err := json.Marshal(renameKeys(value, t))
	if err != nil {
		return badRequest("Request decode failed: " + err.Error())
	}
	strict := json.NewDecoder(bytes.NewReader(renamed))
	strict.DisallowUnknownFields()
	if err := strict.Decode(body); err != nil {
		return badRequest("Request decode failed: " + err.Error())
	}
	return nil
}

// otherKeys are keys that stand for others, by the type they occur in, written small; "" are those that say nothing here.
var otherKeys = map[reflect.Type]map[string]string{
	reflect.TypeFor[catalog.CheckDefinition]():   {"args": "ScriptArgs"},
	reflect.TypeFor[catalog.Proxy]():             {"envoyextensions": "", "accesslogs": "", "mutualtlsmode": ""},
	reflect.TypeFor[catalog.Upstream]():          {"centrallyconfigured": "", "ingresshosts": ""},
	reflect.TypeFor[catalog.ExposePath]():        {"parsedfromcheck": ""},
	reflect.TypeFor[catalog.ConnectDefinition](): {"proxy": ""},
}

// renameKeys gives the keys of a value the names that the fields of its type have. What is in maps keeps its keys.
func renameKeys(value any, t reflect.Type) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := value.(type) {
	case map[string]any:
		switch t.Kind() {
		case reflect.Struct:
			return renameFields(v, t)
		case reflect.Map:
			for k, item := range v {
				v[k] = renameKeys(item, t.Elem())
			}
		}
	case []any:
		if t.Kind() == reflect.Slice {
			for i, item := range v {
				v[i] = renameKeys(item, t.Elem())
			}
		}
	}
	return value
}

func renameFields(object map[string]any, t reflect.Type) map[string]any {
	renamed := make(map[string]any, len(object))
	for k, item := range object {
		plain := strings.ToLower(strings.ReplaceAll(k, "_", ""))
		name, other := otherName(plain, t)
		if other && name == "" {
			continue
		}
		if !other {
			name = k
		}
		if f, ok := t.FieldByNameFunc(func(n string) bool { return strings.EqualFold(n, plain) }); ok {
			name, item = f.Name, renameKeys(item, f.Type)
		}
		renamed[name] = item
	}
	return renamed
}

// otherName looks a key up in otherKeys, where definitions may go by the names of their aliases.
func otherName(key string, t reflect.Type) (name string, ok bool) {
	for known, names := range otherKeys {
		if t == known || t.ConvertibleTo(known) {
			name, ok = names[key]
			return name, ok
		}
	}
	return "", false
}
