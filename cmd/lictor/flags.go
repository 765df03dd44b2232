package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Flags are read by the standard flag package below cobra, which leaves each command's arguments alone: so one dash or
// two, -name=value or -name value, and all flags before the first argument, as users of Consul write them.

// parse reads a command's flags and returns its arguments. It returns flag.ErrHelp if help was asked for.
func parse(fs *flag.FlagSet, args []string) ([]string, error) {
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	err := fs.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return nil, usagef("%s", err)
	}
	return fs.Args(), err
}

// An optional value knows whether it was given.
type optional[T any] struct {
	value T
	set   bool
}

// or is the value, or another one if none was given.
func (o optional[T]) or(other T) T {
	if o.set {
		return o.value
	}
	return other
}

// A variable is a flag.Value for an optional value; read turns what was typed into the value.
type variable[T any] struct {
	to   *optional[T]
	read func(string) (T, error)
}

func (v variable[T]) String() string {
	if v.to == nil || !v.to.set {
		return ""
	}
	return fmt.Sprint(v.to.value)
}

func (v variable[T]) Set(s string) error {
	value, err := v.read(s)
	if err == nil {
		*v.to = optional[T]{value, true}
	}
	return err
}

func text(to *optional[string]) flag.Value {
	return variable[string]{to, func(s string) (string, error) { return s, nil }}
}

func span(to *optional[time.Duration]) flag.Value {
	return variable[time.Duration]{to, time.ParseDuration}
}

func count(to *optional[uint64]) flag.Value {
	return variable[uint64]{to, func(s string) (uint64, error) { return strconv.ParseUint(s, 0, 64) }}
}

// toggle is a flag that needs its value, as in -name=false, though a bare -name means true.
type toggle struct{ variable[bool] }

func choice(to *optional[bool]) flag.Value {
	return toggle{variable[bool]{to, strconv.ParseBool}}
}

func (toggle) IsBoolFlag() bool { return true }

// A list collects the values of a flag that may be repeated.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(s string) error {
	*l = append(*l, s)
	return nil
}

// pairs collects key=value from a flag that may be repeated.
type pairs map[string]string

func (p pairs) String() string { return "" }

func (p pairs) Set(s string) error {
	key, value, ok := strings.Cut(s, "=")
	switch {
	case !ok:
		return errors.New(`missing "=": a value is of the form key=value`)
	case key == "":
		return fmt.Errorf("%q is not of the form key=value", s)
	}
	p[key] = value
	return nil
}
