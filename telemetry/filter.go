package telemetry

import (
	"fmt"
	"strings"
)

// quietUnlessAsked is hidden although filter_default is true: it has a label set per method and was made for debugging.
const quietUnlessAsked = "rpc.server.call"

// filter says which names are shown. It never changes.
type filter struct {
	byDefault bool
	rules     []rule
}

type rule struct {
	prefix string
	show   bool
}

func newFilter(byDefault bool, rules []string, prefix string) (*filter, error) {
	f := &filter{byDefault: byDefault, rules: []rule{{prefix: prefix + "." + quietUnlessAsked}}}
	for _, text := range rules { // "-" alone has the prefix of all names
		if text == "" || (text[0] != '+' && text[0] != '-') {
			return nil, fmt.Errorf("prefix_filter: rule %q must be a '+' (show) or a '-' (hide) and then a prefix", text)
		}
		f.rules = append(f.rules, rule{prefix: text[1:], show: text[0] == '+'})
	}
	return f, nil
}

// shows reports whether a name passes. The longest rule decides, and of equal ones the later.
func (f *filter) shows(name string) bool {
	show, longest := f.byDefault, -1
	for _, r := range f.rules {
		if len(r.prefix) >= longest && strings.HasPrefix(name, r.prefix) {
			show, longest = r.show, len(r.prefix)
		}
	}
	return show
}
