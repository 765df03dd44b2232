package logging

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// Module is the key of the attribute that names who logs, such as "agent.http". It comes before the message in the text
// form. The last one given to a logger holds.
const Module = "module"

// handler collects attributes on the way to a Logger. It is never changed.
type handler struct {
	to     *Logger
	module string
	group  string // what keys begin with: names of open groups, with dots
	attrs  []field
}

// field is an attribute without groups.
type field struct {
	key   string
	value slog.Value
}

// record is what one line says.
type record struct {
	time    time.Time
	level   slog.Level
	message string
	module  string
	fields  []field
}

// Enabled reports whether the outputs or a subscriber want the level.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.to.enabled(ctx, level)
}

// Handle writes one record.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	line := record{time: r.Time, level: r.Level, message: r.Message, module: h.module, fields: h.attrs}
	if r.NumAttrs() > 0 {
		line.fields = make([]field, len(h.attrs), len(h.attrs)+r.NumAttrs())
		copy(line.fields, h.attrs)
		r.Attrs(func(a slog.Attr) bool {
			line.fields = flatten(line.fields, h.group, a, &line.module)
			return true
		})
	}
	return h.to.write(&line)
}

// WithAttrs returns a handler that adds attributes to each record.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *h
	more.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		more.attrs = flatten(more.attrs, h.group, a, &more.module)
	}
	return &more
}

// WithGroup returns a handler whose later attributes have keys that begin with a name and a dot.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	inner := *h
	inner.group += name + "."
	return &inner
}

// flatten adds an attribute, or those of its group, to fields. The module is taken out.
func flatten(fields []field, group string, a slog.Attr, module *string) []field {
	value := a.Value.Resolve()
	switch {
	case value.Kind() == slog.KindGroup:
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, inner := range value.Group() {
			fields = flatten(fields, group, inner, module)
		}
		return fields
	case a.Key == "" && value.Any() == nil:
		return fields
	case group == "" && a.Key == Module && value.Kind() == slog.KindString:
		*module = value.String()
		return fields
	}
	return append(fields, field{group + a.Key, value})
}
