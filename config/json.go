package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// maxDepth bounds how deeply values of a file may be nested.
const maxDepth = 200

// parseJSON reads the text of a JSON file into an object.
func parseJSON(text []byte) (*value, *Problem) {
	r := &jsonReader{text: text, decoder: json.NewDecoder(bytes.NewReader(text)), line: 1}
	r.decoder.UseNumber()
	v, err := r.value(0)
	if err == nil {
		if _, more := r.decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is text after the end of the object")
		}
	}
	if err != nil {
		return nil, r.problem(err)
	}
	if v.kind != objectKind {
		return nil, &Problem{Line: 1, Text: "the file is not a JSON object"}
	}
	return v, nil
}

// A jsonReader turns tokens into values and keeps count of the lines.
type jsonReader struct {
	text    []byte
	decoder *json.Decoder
	counted int // bytes of text whose line ends are in line
	line    int
}

func (r *jsonReader) problem(err error) *Problem {
	p := &Problem{Text: err.Error(), Line: r.lineAt(len(r.text)), summary: err.Error()}
	var free any
	if err := json.Unmarshal(r.text, &free); err != nil {
		p.summary = err.Error() // the words that a reader of whole texts has for it
	}
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		r.line, r.counted = 1, 0
		p.Line = r.lineAt(min(int(syntax.Offset), len(r.text)))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		p.Text = "the JSON text ends too early"
	}
	return p
}

// lineAt is the line of an offset that is not before the last one asked for.
func (r *jsonReader) lineAt(offset int) int {
	if offset > r.counted {
		r.line += bytes.Count(r.text[r.counted:offset], []byte{'\n'})
		r.counted = offset
	}
	return r.line
}

func (r *jsonReader) value(depth int) (*value, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("values are nested more than %d deep", maxDepth)
	}
	t, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	v := &value{line: r.lineAt(int(r.decoder.InputOffset()))}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			v.kind = listKind
			return v, r.list(v, depth)
		}
		v.kind = objectKind
		return v, r.object(v, depth)
	case string:
		v.kind, v.text = stringKind, t
	case json.Number:
		v.kind, v.text = numberKind, t.String()
	case bool:
		v.kind, v.flag = boolKind, t
	}
	return v, nil
}

func (r *jsonReader) list(v *value, depth int) error {
	for r.decoder.More() {
		e, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		v.list = append(v.list, e)
	}
	_, err := r.decoder.Token()
	return err
}

func (r *jsonReader) object(v *value, depth int) error {
	for r.decoder.More() {
		t, err := r.decoder.Token()
		if err != nil {
			return err
		}
		name, ok := t.(string)
		if !ok {
			return fmt.Errorf("%v cannot be a key", t)
		}
		f := field{name: name, line: r.lineAt(int(r.decoder.InputOffset()))}
		if f.value, err = r.value(depth + 1); err != nil {
			return err
		}
		v.fields = append(v.fields, f)
	}
	_, err := r.decoder.Token()
	return err
}

// number is a number of free content: a float64, as encoding/json gives, or an int64 that a float64 cannot hold.
func number(text string) any {
	if n, err := strconv.ParseInt(text, 0, 64); err == nil && int64(float64(n)) != n {
		return n
	}
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return float64(n)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	return f
}
