package acl

import (
	"encoding/json"
	"time"
)

//go:generate go tool msgp -o moment_gen.go -tests=false -io=false

// A Moment is a time in nanoseconds since 1970 began in UTC; 0 is none. In JSON it is a text of RFC 3339.
type Moment int64

// MomentOf is a time as a Moment.
func MomentOf(t time.Time) Moment {
	if t.IsZero() {
		return 0
	}
	return Moment(t.UnixNano())
}

// Time is the moment as a time.
func (m Moment) Time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(m)).UTC()
}

// MarshalJSON writes a text.
func (m Moment) MarshalJSON() ([]byte, error) { return m.Time().MarshalJSON() }

// UnmarshalJSON reads a text. Times that no Moment can be, before 1678 and after 2261, are the first and the last.
func (m *Moment) UnmarshalJSON(b []byte) error {
	var t time.Time
	if err := json.Unmarshal(b, &t); err != nil {
		return err
	}
	switch {
	case t.IsZero():
		*m = 0
	case t.Year() < 1678:
		*m = -1 << 63
	case t.Year() > 2261:
		*m = 1<<63 - 1
	default:
		*m = MomentOf(t)
	}
	return nil
}
