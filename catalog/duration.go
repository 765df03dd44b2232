package catalog

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Duration is a time.Duration in the forms that Consul's clients send and expect: JSON strings such as "10s" or
// numbers of nanoseconds are read, strings are written.
type Duration time.Duration

// String is the duration in Go's notation, such as "1m30s".
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalJSON writes the duration as a string in Go's notation.
func (d Duration) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, time.Duration(d).String()), nil
}

// UnmarshalJSON reads a string in Go's notation, an empty string (zero) or a number of nanoseconds.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return d.UnmarshalText([]byte(v))
	case float64:
		*d = Duration(v)
		return nil
	}
	return fmt.Errorf("a duration is a string such as \"10s\" or a number of nanoseconds, not %s", b)
}

// UnmarshalText reads Go's notation; the empty text is zero.
func (d *Duration) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = 0
		return nil
	}
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}
