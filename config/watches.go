package config

import (
	"fmt"

	"lictor/watch"
)

// Watches are handlers that run when something changes.
type Watches struct {
	List []map[string]any `config:"watches" debug:"Watches,secret"` // handlers: each has a type, what that type needs, and args or an http_handler_config
}

func (w *Watches) check(r *report) {
	for i, parameters := range w.List {
		if _, err := watch.Parse(parameters); err != nil {
			r.refuse(fmt.Sprintf("watches[%d]", i), "%s", err)
		}
	}
}

// Definitions are the watches, ready for use, in their order. The configuration has been checked.
func (w *Watches) Definitions() []watch.Definition {
	var out []watch.Definition
	for _, parameters := range w.List {
		if d, err := watch.Parse(parameters); err == nil {
			out = append(out, d)
		}
	}
	return out
}
