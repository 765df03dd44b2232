package filter

import (
	"fmt"
	"strings"
)

// A filterParser parses what stands around the matches of a filter's expression:
//
//	or    = and { "or" and }
//	and   = not { "and" not }
//	not   = "not" not | "(" or ")" | match
type filterParser[T any] struct {
	text  string
	words []filterWord
	at    int // the next word
	depth int
}

// A filterWord is a parenthesis, or what stands between blanks and parentheses, with quoted strings in one piece.
type filterWord struct{ from, to int }

// maxFilterDepth bounds how deep "not" and parentheses are nested.
const maxFilterDepth = 100

func split(text string) []filterWord {
	var words []filterWord
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			i++
		case c == '(' || c == ')':
			words = append(words, filterWord{i, i + 1})
			i++
		default:
			end := wordEnd(text, i)
			words = append(words, filterWord{i, end})
			i = end
		}
	}
	return words
}

func wordEnd(text string, i int) int {
	for i < len(text) {
		switch c := text[i]; {
		case c == '"' || c == '`':
			close := strings.IndexByte(text[i+1:], c)
			if close < 0 {
				return len(text)
			}
			i += close + 2
		case strings.IndexByte(" \t\r\n()", c) >= 0:
			return i
		default:
			i++
		}
	}
	return i
}

// word is the next word; "" at the end.
func (p *filterParser[T]) word() string {
	if p.at == len(p.words) {
		return ""
	}
	w := p.words[p.at]
	return p.text[w.from:w.to]
}

func (p *filterParser[T]) or() (predicate[T], error) {
	left, err := p.and()
	for err == nil && p.word() == "or" {
		p.at++
		var right predicate[T]
		a := left
		right, err = p.and()
		left = func(row T) (bool, error) {
			if ok, err := a(row); ok || err != nil {
				return ok, err
			}
			return right(row)
		}
	}
	return left, err
}

func (p *filterParser[T]) and() (predicate[T], error) {
	left, err := p.not()
	for err == nil && p.word() == "and" {
		p.at++
		var right predicate[T]
		a := left
		right, err = p.not()
		left = func(row T) (bool, error) {
			if ok, err := a(row); !ok || err != nil {
				return ok, err
			}
			return right(row)
		}
	}
	return left, err
}

func (p *filterParser[T]) not() (predicate[T], error) {
	if p.depth++; p.depth > maxFilterDepth {
		return nil, fmt.Errorf("the expression is nested more than %d deep", maxFilterDepth)
	}
	defer func() { p.depth-- }()
	switch p.word() {
	case "not":
		p.at++
		operand, err := p.not()
		return func(row T) (bool, error) {
			ok, err := operand(row)
			return !ok && err == nil, err
		}, err
	case "(":
		return p.group()
	}
	return p.match()
}

func (p *filterParser[T]) group() (predicate[T], error) {
	p.at++
	inner, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.at == len(p.words) {
		return nil, fmt.Errorf(`1:%d (%d): rule "grouping": Unmatched parentheses`, len(p.text)+1, len(p.text))
	}
	if p.word() != ")" {
		return nil, p.unexpected()
	}
	p.at++
	return inner, nil
}

// match takes the words up to the end of a match: a parenthesis, or "and" or "or" where no value is due.
func (p *filterParser[T]) match() (predicate[T], error) {
	begin := p.at
	for due := false; p.at < len(p.words); p.at++ {
		w := p.word()
		if w == "(" || w == ")" || !due && p.at > begin && (w == "and" || w == "or") {
			break
		}
		due = w == "contains" || w == "matches" || w == "in" || strings.HasSuffix(w, "==") || strings.HasSuffix(w, "!=")
	}
	if p.at == begin {
		return nil, p.unexpected()
	}
	from, to := p.words[begin].from, p.words[p.at-1].to
	if begin == 0 && p.at == len(p.words) {
		from, to = 0, len(p.text)
	}
	holds, err := match[T](p.text[from:to])
	return holds, shift(err, from)
}

// shift adds to the position in the text of a parser's error, "LINE:COLUMN (OFFSET): ...", for a text that begins later.
func shift(err error, by int) error {
	if err == nil || by == 0 {
		return err
	}
	var column, offset int
	where, what, _ := strings.Cut(err.Error(), ": ")
	if n, _ := fmt.Sscanf(where, "1:%d (%d)", &column, &offset); n != 2 {
		return err
	}
	return fmt.Errorf("1:%d (%d): %s", column+by, offset+by, what)
}

// unexpected tells that the next word does not belong where it is.
func (p *filterParser[T]) unexpected() error {
	at := len(p.text)
	if p.at < len(p.words) {
		at = p.words[p.at].from
	}
	return fmt.Errorf(`1:%d (%d): no match found, expected: "(", "and", "not", "or" or a match`, at+1, at)
}
