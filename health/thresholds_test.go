package health

import (
	"strings"
	"testing"
)

// Results and statuses are written by their first letters: p, w, c; a dot is a status that stays.
func TestStatusHandler(t *testing.T) {
	tests := []struct {
		name          string
		thresholds    Thresholds
		results, want string
	}{
		{"no thresholds", Thresholds{}, "pwcpcw", "pwcpcw"},
		{"one is none", Thresholds{1, 1, 1}, "pwcpcw", "pwcpcw"},
		{"successes", Thresholds{SuccessBeforePassing: 3}, "cpppp", "c..pp"},
		{"a failure starts the successes again", Thresholds{SuccessBeforePassing: 3}, "ppcppp", "..c..p"},
		{"a warning counts as a success", Thresholds{SuccessBeforePassing: 3}, "cpwww", "c..ww"},
		{"failures", Thresholds{FailuresBeforeCritical: 3}, "pcccc", "p..cc"},
		{"a success starts the failures again", Thresholds{FailuresBeforeCritical: 3}, "ccpccc", "..p..c"},
		{"a warning starts the failures again", Thresholds{FailuresBeforeCritical: 2}, "cwcc", ".w.c"},
		{"no warning before critical unless asked for", Thresholds{FailuresBeforeCritical: 2}, "pccc", "p.cc"},
		{"warning before critical", Thresholds{FailuresBeforeWarning: 2, FailuresBeforeCritical: 4}, "pccccc", "p.wwcc"},
		{"all", Thresholds{2, 1, 3}, "ppcccpp", ".pwwc.p"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := StatusHandler{Thresholds: tt.thresholds}
			var got strings.Builder
			for _, r := range tt.results {
				status, ok := h.Next(map[rune]string{'p': "passing", 'w': "warning", 'c': "critical"}[r])
				if !ok {
					status = "."
				}
				got.WriteString(status[:1])
			}
			if got.String() != tt.want {
				t.Errorf("results %s give %s, want %s", tt.results, &got, tt.want)
			}
		})
	}
}
