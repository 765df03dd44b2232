package telemetry

import (
	_ "embed" // for the table
	"strings"
)

// knownTable lists all names that the agent reports.
//
//go:embed known.tsv
var knownTable string

// helpTexts returns, by name, the line that explains a series in the Prometheus form.
func helpTexts() map[string]string {
	texts := map[string]string{}
	for line := range strings.Lines(knownTable) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		kind, unit, _ := strings.Cut(rest, "\t")
		texts[name] = name + ", a " + kind + " of " + unit
	}
	return texts
}
