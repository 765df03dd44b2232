package chaos

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// The kinds of operations.
const (
	put    = "put"
	cas    = "cas"
	remove = "delete"
	get    = "get"
)

// The modes of reads.
const (
	consistent = "consistent"
	byDefault  = "default"
	stale      = "stale"
)

// The outcomes of operations.
const (
	done    = "done"
	open    = "open"    // it may have been carried out, or may be yet
	refused = "refused" // it was not carried out and never will be
)

// An op is one operation as its client saw it.
type op struct {
	Client  int
	Agent   string `json:",omitempty"`
	Process int    `json:",omitempty"` // which process of the agent it was, counted from 1; 0 is not known
	Kind    string
	Mode    string `json:",omitempty"` // of a read
	Key     string
	Value   string `json:",omitempty"` // what a put or cas writes, which no other does; what a get found, "" for nothing
	Expect  uint64 `json:",omitempty"` // the index that a cas is for, 0 for a key that is not there
	Call    int64  // when it began, in nanoseconds since the begin of the history
	Return  int64  // when the answer was there
	Outcome string
	Swapped bool   `json:",omitempty"` // what a cas said
	Modify  uint64 `json:",omitempty"` // ModifyIndex of what a get found
	Index   uint64 `json:",omitempty"` // X-Consul-Index of a get
	Note    string `json:",omitempty"` // status or error of what was not done
}

func (o *op) writes() bool { return o.Kind != get }

// A history is what all clients saw, in the order of the calls.
type history []op

func (h history) sorted() history {
	slices.SortFunc(h, func(a, b op) int { return cmp.Compare(a.Call, b.Call) })
	return h
}

// byKey takes a history apart.
func (h history) byKey() map[string]history {
	all := map[string]history{}
	for _, o := range h {
		all[o.Key] = append(all[o.Key], o)
	}
	return all
}

// save writes a history, one operation a line.
func (h history) save(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(f)
	for i := range h {
		if err := encoder.Encode(&h[i]); err != nil {
			_ = f.Close()
			return err
		}
	}
	return f.Close()
}

// loadHistory reads a history that was saved.
func loadHistory(file string) (h history, err error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(content)) {
		var o op
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		h = append(h, o)
	}
	return h, nil
}

// A deed is what a nemesis has done, from when to when, in nanoseconds since the begin of the history.
type deed struct {
	Begin, End int64
	What       string
	Error      string `json:",omitempty"`
}

// pausesOf are the pauses among all deeds.
func pausesOf(deeds []deed) (all []pause) {
	for _, d := range deeds {
		if strings.HasPrefix(d.What, "pause ") {
			all = append(all, pause{d.Begin, d.End})
		}
	}
	return all
}
