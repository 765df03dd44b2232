package logging

import (
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
)

// jsonTime is the form of times in JSON.
const jsonTime = "2006-01-02T15:04:05.000000Z07:00"

// json returns the record as a line of JSON: an object with @level, @message, @module, @timestamp and one key for each
// attribute, in the order of the alphabet.
func (r *record) json() []byte {
	object := make(map[string]any, 4+len(r.fields))
	for _, f := range r.fields {
		object[f.key] = jsonValue(f.value)
	}
	object["@level"] = LevelName(r.level)
	object["@message"] = r.message
	if !r.time.IsZero() {
		object["@timestamp"] = r.time.Format(jsonTime)
	}
	if r.module != "" {
		object["@module"] = r.module
	}
	line, err := json.Marshal(object)
	if err != nil {
		line = plain(object)
	}
	return append(line, '\n')
}

// plain is for objects with values that JSON cannot hold: all values become text.
func plain(object map[string]any) []byte {
	for k, v := range object {
		object[k] = fmt.Sprint(v)
	}
	line, _ := json.Marshal(object) // text always can
	return line
}

func jsonValue(v slog.Value) any {
	switch value := v.Any().(type) {
	case json.Marshaler, encoding.TextMarshaler:
		return value
	case error:
		return value.Error()
	case fmt.Stringer:
		return value.String()
	default:
		return value
	}
}
