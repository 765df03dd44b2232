package query

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// compile refuses a template that could not be rendered.
func (q *Query) compile() error {
	_, err := q.render(q.Name, "")
	return err
}

// render makes the query that a template stands for, when it is asked for by a name from an agent in a segment.
func (q *Query) render(name, segment string) (*Query, error) {
	if q.Template.Type != PrefixMatch {
		return nil, fmt.Errorf("Bad Template.Type '%s'", q.Template.Type)
	}
	s := scope{full: name, prefix: q.Name, segment: segment, room: maxRendered}
	if len(name) >= len(q.Name) {
		s.suffix = name[len(q.Name):]
	}
	if q.Template.Regexp != "" {
		re, err := regexp.Compile(q.Template.Regexp)
		if err != nil {
			return nil, fmt.Errorf("Bad Regexp: %w", err)
		}
		s.matches = re.FindStringSubmatch(name)
	}
	r := *q
	if err := r.Service.expand(&s); err != nil {
		return nil, err
	}
	if q.Template.RemoveEmptyTags {
		r.Service.Tags = slices.DeleteFunc(r.Service.Tags, func(t string) bool { return t == "" })
	}
	return &r, nil
}

// expand replaces in all texts of a service; what is shared is copied first.
func (s *Service) expand(with *scope) error {
	e := expander{scope: with}
	e.text("Service.Service", &s.Service)
	e.text("Service.SamenessGroup", &s.SamenessGroup)
	e.text("Service.Peer", &s.Peer)
	e.text("Service.Near", &s.Near)
	e.list("Service.IgnoreCheckIDs", &s.IgnoreCheckIDs)
	e.list("Service.Tags", &s.Tags)
	e.list("Service.Failover.Datacenters", &s.Failover.Datacenters)
	s.Failover.Targets = slices.Clone(s.Failover.Targets)
	for i := range s.Failover.Targets {
		t := &s.Failover.Targets[i]
		e.text(fmt.Sprintf("Service.Failover.Targets[%d].Peer", i), &t.Peer)
		e.text(fmt.Sprintf("Service.Failover.Targets[%d].Datacenter", i), &t.Datacenter)
	}
	e.table("Service.NodeMeta", &s.NodeMeta)
	e.table("Service.ServiceMeta", &s.ServiceMeta)
	return e.err
}

// An expander replaces in one text after the other, and keeps the first error.
type expander struct {
	*scope
	err error
}

func (e *expander) text(path string, s *string) {
	if e.err != nil {
		return
	}
	out, err := e.interpolate(*s)
	if err != nil {
		e.err = fmt.Errorf("Bad format '%s' in %s: %w", *s, path, err)
		return
	}
	*s = out
}

func (e *expander) list(path string, l *[]string) {
	*l = slices.Clone(*l)
	for i := range *l {
		e.text(fmt.Sprintf("%s[%d]", path, i), &(*l)[i])
	}
}

func (e *expander) table(path string, m *map[string]string) {
	*m = maps.Clone(*m)
	for _, k := range slices.Sorted(maps.Keys(*m)) {
		v := (*m)[k]
		e.text(fmt.Sprintf("%s[%s]", path, k), &v)
		(*m)[k] = v
	}
}

// A scope is what expressions in a template may name.
type scope struct {
	full, prefix, suffix string
	segment              string
	matches              []string
	room                 int // bytes that may still be made
}

// maxRendered is how many bytes all texts of a template may become, with the names that it is asked for by.
const maxRendered = 256 << 10

// interpolate replaces each ${expression} of a text; $${ stands for ${ itself.
func (s *scope) interpolate(text string) (string, error) {
	if !strings.Contains(text, "${") {
		return text, nil
	}
	var b strings.Builder
	p := parser{scope: s, text: text}
	for p.at < len(text) {
		rest := text[p.at:]
		switch {
		case strings.HasPrefix(rest, "$${"):
			b.WriteString("${")
			p.at += 3
		case strings.HasPrefix(rest, "${"):
			p.at += 2
			value, err := p.braced()
			if err != nil {
				return "", err
			}
			if s.room -= len(value); s.room < 0 {
				return "", fmt.Errorf("expressions make more than %d bytes of the name", maxRendered)
			}
			b.WriteString(value)
		default:
			b.WriteByte(rest[0])
			p.at++
		}
	}
	return b.String(), nil
}

// A parser reads expressions: name.full, name.prefix, name.suffix, agent.segment, match(N).
type parser struct {
	*scope
	text string
	at   int
}

func (p *parser) braced() (string, error) {
	value, err := p.expression()
	if err != nil {
		return "", err
	}
	return value, p.expect('}')
}

func (p *parser) expression() (string, error) {
	p.space()
	begin := p.at
	word := p.word()
	switch word {
	case "name.full":
		return p.full, nil
	case "name.prefix":
		return p.prefix, nil
	case "name.suffix":
		return p.suffix, nil
	case "agent.segment":
		return p.segment, nil
	case "":
		return "", p.fail("expected expression but found %s", p.found())
	}
	p.space()
	if p.at >= len(p.text) || p.text[p.at] != '(' {
		p.at = begin
		return "", p.fail("unknown variable accessed: %s; allowed are name.full, name.prefix, name.suffix, agent.segment and match(N)", word)
	}
	p.at++
	n, err := p.number()
	if err != nil {
		return "", err
	}
	if err := p.expect(')'); err != nil {
		return "", err
	}
	if word != "match" {
		p.at = begin
		return "", p.fail("unknown function called: %s; only match(N) is known", word)
	}
	if n < len(p.matches) {
		return p.matches[n], nil
	}
	return "", nil
}

// number reads the argument of match, of which only so many digits matter as a regular expression can have groups.
func (p *parser) number() (int, error) {
	p.space()
	begin, n := p.at, 0
	for ; p.at < len(p.text) && '0' <= p.text[p.at] && p.text[p.at] <= '9'; p.at++ {
		n = min(n*10+int(p.text[p.at]-'0'), 1<<20)
	}
	if begin == p.at {
		return 0, p.fail("expected expression but found %s", p.found())
	}
	return n, nil
}

func (p *parser) word() string {
	begin := p.at
	for ; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		if c != '.' && c != '_' && (c < '0' || c > '9' || p.at == begin) && (c|0x20 < 'a' || c|0x20 > 'z') {
			break
		}
	}
	return p.text[begin:p.at]
}

func (p *parser) space() {
	for p.at < len(p.text) && p.text[p.at] == ' ' {
		p.at++
	}
}

func (p *parser) expect(c byte) error {
	p.space()
	if p.at >= len(p.text) || p.text[p.at] != c {
		return p.fail("expected %q but found %s", string(c), p.found())
	}
	p.at++
	return nil
}

func (p *parser) found() string {
	if p.at >= len(p.text) {
		return "end of string"
	}
	return fmt.Sprintf("%q", p.text[p.at:p.at+1])
}

func (p *parser) fail(format string, args ...any) error {
	return fmt.Errorf("parse error at 1:%d: "+format, append([]any{p.at + 1}, args...)...)
}
