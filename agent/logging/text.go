package logging

import (
	"encoding"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// textTime is the form of times in text. It has no space.
const textTime = "2006-01-02T15:04:05.000Z0700"

// text returns the record as a line of text:
//
//	2006-01-02T15:04:05.000Z [INFO]  agent.http: message: key=value other="with spaces"
func (r *record) text() []byte {
	b := make([]byte, 0, 256)
	if !r.time.IsZero() {
		b = append(r.time.AppendFormat(b, textTime), ' ')
	}
	b = append(b, bracketed(r.level)...)
	b = append(b, ' ')
	if r.module != "" {
		b = append(append(b, r.module...), ": "...)
	}
	b = appendMessage(b, r.message)
	if len(r.fields) > 0 {
		b = append(b, ':')
	}
	for _, f := range r.fields {
		b = appendField(b, f)
	}
	return append(b, '\n')
}

// appendMessage adds a message without what could pass for another line or steer a terminal.
func appendMessage(b []byte, text string) []byte {
	text = strings.TrimRight(text, "\r\n")
	for _, c := range text {
		if c == utf8.RuneError || (c < ' ' && c != '\t') || c == 0x7f {
			quoted := strconv.QuoteRune(c)
			b = append(b, quoted[1:len(quoted)-1]...)
			continue
		}
		b = utf8.AppendRune(b, c)
	}
	return b
}

// appendField adds " key=value". Values of several lines follow indented.
func appendField(b []byte, f field) []byte {
	value := textValue(f.value)
	if f.value.Kind() == slog.KindAny && isList(f.value.Any()) {
		return append(appendKey(b, f.key), value...)
	}
	if strings.Contains(value, "\n") {
		b = appendMessage(append(b, "\n  "...), f.key)
		b = append(b, "=\n"...)
		for line := range strings.Lines(value) {
			b = append(b, "  | "...)
			b = append(appendMessage(b, line), '\n')
		}
		return append(b, "  "...)
	}
	return appendValue(appendKey(b, f.key), value)
}

func appendKey(b []byte, key string) []byte {
	return append(appendMessage(append(b, ' '), key), '=')
}

func appendValue(b []byte, value string) []byte {
	if value == "" || needsQuotes(value) {
		return strconv.AppendQuote(b, value)
	}
	return append(b, value...)
}

func needsQuotes(value string) bool {
	return strings.ContainsFunc(value, func(c rune) bool {
		return c == '"' || c == ' ' || c == utf8.RuneError || !unicode.IsPrint(c)
	})
}

func isList(v any) bool {
	_, ok := v.([]string)
	return ok
}

func textValue(v slog.Value) string {
	switch v.Kind() {
	case slog.KindFloat64:
		return strconv.FormatFloat(v.Float64(), 'g', -1, 64)
	case slog.KindTime:
		return v.Time().Format(time.RFC3339Nano)
	case slog.KindAny:
		return textAny(v.Any())
	}
	return v.String()
}

func textAny(v any) string {
	switch v := v.(type) {
	case error:
		return v.Error()
	case fmt.Stringer:
		return v.String()
	case []string:
		return textList(v)
	case encoding.TextMarshaler:
		if text, err := v.MarshalText(); err == nil {
			return string(text)
		}
	}
	return fmt.Sprintf("%v", v)
}

func textList(list []string) string {
	var b []byte
	for i, s := range list {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = strconv.AppendQuote(b, s)
	}
	return "[" + string(b) + "]"
}
