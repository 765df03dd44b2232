package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"lictor/cmd/lictor/client"
)

// A console is all that a command sees of the process it runs in.
type console struct {
	in     io.Reader
	out    io.Writer
	err    io.Writer
	getenv func(string) string
	// signals delivers interrupts, terminations and hang-ups. For all commands but daemons the first one ends the
	// command's context; a daemon reads the channel itself.
	signals <-chan os.Signal
}

func (c *console) printf(format string, args ...any) { fmt.Fprintf(c.out, format, args...) }

func (c *console) warnf(format string, args ...any) { fmt.Fprintf(c.err, format, args...) }

// columns prints rows with their cells aligned.
func (c *console) columns(rows [][]string) { writeColumns(c.out, rows, "") }

func writeColumns(to io.Writer, rows [][]string, indent string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		line := indent
		for i, cell := range row {
			line += cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
		}
		fmt.Fprintln(to, strings.TrimRight(line, " "))
	}
}

// The exit codes.
const (
	exitOK      = 0
	exitError   = 1
	exitNothing = 2   // a query without a match
	exitUnknown = 127 // no such command
)

// A failure ends a command with an exit code of its own. Without an error it prints nothing.
type failure struct {
	code  int
	err   error
	usage bool // whether the command's help follows the error
}

func (f *failure) Error() string {
	if f.err == nil {
		return ""
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// failf is what a command returns if it failed, in the words that the user is to see.
func failf(format string, args ...any) error {
	return &failure{code: exitError, err: fmt.Errorf(format, args...)}
}

// usagef is what a command returns if it was not called as it should be.
func usagef(format string, args ...any) error {
	return &failure{code: exitError, err: fmt.Errorf(format, args...), usage: true}
}

// report prints an error and returns the exit code; help prints the help of the command that failed.
func (c *console) report(err error, help func(io.Writer)) int {
	if err == nil {
		return exitOK
	}
	code := exitError
	var f *failure
	if errors.As(err, &f) {
		code = f.code
	}
	if text := err.Error(); text != "" {
		c.warnf("%s\n", text)
	}
	var away *client.Unreachable
	if errors.As(err, &away) && away.Hint != "" {
		c.warnf("%s\n", away.Hint)
	}
	if f != nil && f.usage {
		if f.err != nil {
			c.warnf("\n")
		}
		help(c.err)
	}
	return code
}
