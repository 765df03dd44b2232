package config

import (
	"fmt"
	"slices"
	"strings"
)

// A Problem is one thing that is wrong with a configuration, and where.
type Problem struct {
	File    string // a path, or the flag; empty if no source is at fault
	Line    int    // 0 if not known
	Key     string // the dotted key; empty for a syntax error
	Text    string // what is wrong, without the key
	Unknown bool   // whether Key is not a key at all
	Hint    string // what is allowed or probably meant; may be empty

	summary string // of a file that could not be read at all: what Error says of it
}

// String says where the problem is, what it is and what is allowed: "agent.hcl:3: ports.htp: unknown key; ...".
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Text)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}

// short is the problem as a row in the list of one file, where the file need not be named again.
func (p Problem) short() string {
	if p.Unknown {
		return "invalid config key " + p.Key
	}
	p.File = ""
	return p.String()
}

// Problems are all that is wrong with a configuration, as one error.
type Problems []Problem

// Error says what Consul says: one sentence for a file that could not be read or has a syntax error, else the problems
// of a file as a list. Problems without a file are one a line.
func (ps Problems) Error() string {
	var parts []string
	for rest := ps; len(rest) > 0; {
		file := rest[0].File
		n := slices.IndexFunc(rest, func(p Problem) bool { return p.File != file })
		if n < 0 {
			n = len(rest)
		}
		parts = append(parts, rest[:n].ofFile(file))
		rest = rest[n:]
	}
	return strings.Join(parts, "\n")
}

func (ps Problems) ofFile(file string) string {
	if file == "" {
		lines := make([]string, len(ps))
		for i, p := range ps {
			lines[i] = p.String()
		}
		return strings.Join(lines, "\n")
	}
	if ps[0].summary != "" {
		return ps[0].summary
	}
	noun := "errors"
	if len(ps) == 1 {
		noun = "error"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "failed to parse %s: %d %s occurred:", file, len(ps), noun)
	for _, p := range ps {
		b.WriteString("\n\t* " + p.short())
	}
	return b.String()
}

// Explain lists the problems one a line, each with file, line, key and what is allowed.
func (ps Problems) Explain() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Invalid are the problems of a configuration whose files were read well, but whose values cannot be used.
type Invalid struct{ Problems }

// Error lists the problems one a line.
func (e Invalid) Error() string { return e.Explain() }

// Unwrap gives the problems.
func (e Invalid) Unwrap() error { return e.Problems }
