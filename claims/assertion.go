package claims

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"lictor/filter"
)

// told is what assertions see of a token: its claims, and how comparisons with parameters have ended.
type told struct {
	Value map[string]string   `bexpr:"value"`
	List  map[string][]string `bexpr:"list"`
	Fact  map[string]string   `bexpr:"fact"`
}

// An assertion is an expression that must hold of the claims, such as
//
//	value.node == "${node}" and "agents" in list.groups
//
// Parameters are never written into the expression, as what they hold is for who asks to choose. Matches that name one
// are compared here, and the expression sees only how that has ended: as fact.
type assertion struct {
	filter *filter.Filter[told]
	facts  []fact
}

// A fact compares a claim with a parameter.
type fact struct {
	claim     string
	list      bool
	not       bool
	parameter string
}

var (
	equals   = regexp.MustCompile(`value\.([A-Za-z0-9_]+)\s*(==|!=)\s*"\$\{([a-z]+)\}"`)
	contains = regexp.MustCompile(`"\$\{([a-z]+)\}"\s+(not\s+)?in\s+list\.([A-Za-z0-9_]+)`)
)

// parameters are those that an assertion may name.
var parameters = []string{"node", "segment", "partition"}

func parseAssertion(text string) (*assertion, error) {
	a := &assertion{}
	add := func(f fact) string {
		a.facts = append(a.facts, f)
		return fmt.Sprintf(`fact.f%d == "yes"`, len(a.facts)-1)
	}
	text = equals.ReplaceAllStringFunc(text, func(m string) string {
		p := equals.FindStringSubmatch(m)
		return add(fact{claim: p[1], not: p[2] == "!=", parameter: p[3]})
	})
	text = contains.ReplaceAllStringFunc(text, func(m string) string {
		p := contains.FindStringSubmatch(m)
		return add(fact{claim: p[3], list: true, not: p[2] != "", parameter: p[1]})
	})
	if strings.Contains(text, "${") {
		return nil, errors.New(`a parameter can only be compared: value.NAME == "${node}", or "${node}" in list.NAME, or their contraries`)
	}
	for _, f := range a.facts {
		if !slices.Contains(parameters, f.parameter) {
			return nil, fmt.Errorf("there is no parameter %q, only: %s", f.parameter, strings.Join(parameters, ", "))
		}
	}
	var err error
	a.filter, err = filter.Parse[told](text)
	return a, err
}

var errAssertion = errors.New("does not hold")

// holds returns nil if the assertion holds.
func (a *assertion) holds(c *Claims, parameters map[string]string) error {
	t := told{c.Value, c.List, map[string]string{}}
	for i, f := range a.facts {
		t.Fact[fmt.Sprintf("f%d", i)] = map[bool]string{true: "yes", false: "no"}[f.holds(c, parameters[f.parameter])]
	}
	ok, err := a.filter.Keep(t)
	if err == nil && !ok {
		err = errAssertion
	}
	return err
}

// holds compares. A claim that is missing fulfils nothing.
func (f *fact) holds(c *Claims, parameter string) bool {
	if f.list {
		l, there := c.List[f.claim]
		return there && slices.Contains(l, parameter) != f.not
	}
	v, there := c.Value[f.claim]
	return there && (v == parameter) != f.not
}
