package configentry

import "lictor/catalog"

// Nanoseconds are a duration that is read from text such as "10s" or from a number, and written as a number: clients read
// most durations in entries as numbers alone.
type Nanoseconds int64

// UnmarshalJSON reads text or a number.
func (n *Nanoseconds) UnmarshalJSON(b []byte) error { return (*catalog.Duration)(n).UnmarshalJSON(b) }
