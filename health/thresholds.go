package health

import "lictor/catalog"

// Thresholds say how many results of a kind must follow one another before a check takes a status. 0 and 1 both mean
// the first result.
type Thresholds struct {
	SuccessBeforePassing   int // passing or warning results before either becomes the status
	FailuresBeforeWarning  int // critical results before the status becomes warning; 0 means FailuresBeforeCritical
	FailuresBeforeCritical int // critical results before the status becomes critical
}

// A StatusHandler turns the results of a check into its status. It is a pure state machine; the zero value takes each
// result as the status.
type StatusHandler struct {
	Thresholds
	successes, failures int
}

// thresholds are those of a definition.
func thresholds(d *catalog.CheckDefinition) Thresholds {
	return Thresholds{
		SuccessBeforePassing:   d.SuccessBeforePassing,
		FailuresBeforeWarning:  d.FailuresBeforeWarning,
		FailuresBeforeCritical: d.FailuresBeforeCritical,
	}
}

// Next takes one result and tells the status that follows; with ok false the status stays what it was.
func (h *StatusHandler) Next(result string) (status string, ok bool) {
	if result == catalog.Critical {
		return h.failure()
	}
	h.failures = 0
	h.successes++
	return result, h.successes >= h.SuccessBeforePassing
}

func (h *StatusHandler) failure() (status string, ok bool) {
	h.successes = 0
	h.failures++
	warn := h.FailuresBeforeWarning
	if warn == 0 {
		warn = h.FailuresBeforeCritical
	}
	switch {
	case h.failures >= h.FailuresBeforeCritical:
		return catalog.Critical, true
	case h.failures >= warn:
		return catalog.Warning, true
	}
	return "", false
}
