package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	ms   = time.Millisecond
	day  = 24 * time.Hour
	week = 7 * day
)

// A report collects what is found wrong with a merged configuration.
type report struct {
	origins  map[string]Origin
	problems Problems
	warnings []string
}

// isSet says whether a source set the key.
func (r *report) isSet(key string) bool {
	_, ok := r.origins[key]
	return ok
}

// refuse notes that a key's value cannot be used. The place is that of the key or of what it is part of.
func (r *report) refuse(key, format string, args ...any) {
	o := r.origin(key)
	r.problems = append(r.problems, Problem{File: o.File, Line: o.Line, Key: key, Text: fmt.Sprintf(format, args...)})
}

// warn notes something that works, but hardly as it is meant.
func (r *report) warn(format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

func (r *report) origin(key string) Origin {
	for key != "" {
		if o, ok := r.origins[key]; ok {
			return o
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	return Origin{}
}

// atLeast refuses a value below a limit.
func atLeast[T int | int64 | uint | uint64 | float64](r *report, key string, v, limit T) {
	if v < limit {
		r.refuse(key, "is %v, but must be %v or more", v, limit)
	}
}

// positive refuses a duration that is negative or zero.
func (r *report) positive(key string, d time.Duration) {
	if d <= 0 {
		r.refuse(key, "is %s, but must be more than 0s", d)
	}
}

// notNegative refuses a negative duration.
func (r *report) notNegative(key string, d time.Duration) {
	if d < 0 {
		r.refuse(key, "is %s, but must not be negative", d)
	}
}

// oneOf refuses a word that is not among those allowed.
func (r *report) oneOf(key, word string, allowed ...string) {
	if !slices.Contains(allowed, word) {
		r.refuse(key, "is %q, but must be one of: %s", word, strings.Join(allowed, ", "))
	}
}

// matches refuses a text that does not have a form, which is said in words.
func (r *report) matches(key, text, form, words string) {
	if ok, err := regexp.MatchString(form, text); err != nil || !ok {
		r.refuse(key, "is %q, but must be %s", text, words)
	}
}

// onlyOf says whether a text is not empty and only of ASCII letters, digits and some further characters.
func onlyOf(text, further string) bool {
	for _, c := range text {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune(further, c) {
			return false
		}
	}
	return text != ""
}

// networks reads networks and refuses texts that are none.
func (r *report) networks(key string, texts []string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			r.refuse(key, "holds %q, which is not a network such as \"10.0.0.0/8\"", text)
			continue
		}
		all = append(all, network.Masked())
	}
	return all
}
