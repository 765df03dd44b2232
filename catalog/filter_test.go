package catalog

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFilter(t *testing.T) {
	n1 := &Node{Node: "n1", Address: "10.0.0.1", Meta: map[string]string{"rack": "a", "or": "and"}}
	for _, c := range []struct {
		expression string
		keeps      bool
		fails      string
	}{
		{"Node == n1", true, ""},
		{"Node != n1", false, ""},
		{"Node==n1", true, ""},
		{"not Node == n1", false, ""},
		{"not not Node == n1", true, ""},
		{"Node == n2 or Meta.rack == a", true, ""},
		{"Node == n2 and Meta.rack == a", false, ""},
		{"Node == n1 and Meta.rack == b or Address == \"10.0.0.1\"", true, ""},
		{"Node == n1 and (Meta.rack == b or Address == \"10.0.0.1\")", true, ""},
		{"not (Node == n1 and Meta.rack == a)", false, ""},
		{"(((((((((Node == n1)))))))))", true, ""},
		{"Meta is not empty and TaggedAddresses is empty", true, ""},
		{"rack in Meta and x not in Meta", true, ""},
		{"Meta contains rack", true, ""},
		{"Meta.or == and and Node == n1", true, ""},
		{"Meta[\"rack\"] == `a`", true, ""},
		{"Node matches \"^n[(]?1\"", true, ""},
		{"PeerName == \"\"", true, ""},
		{"Nope == 1", false, `Selector "Nope" is not valid`},
		{"ModifyIndex == 1", false, `Selector "ModifyIndex" is not valid`},
		{"Node =", false, `1:6 (5): no match found, expected: "!=", "==", "contains", "in", "is", "matches", "not" or [ \t\r\n]`},
		{"Node", false, `1:5 (4): no match found, expected: "!=", ".", "==", "[", [ \t\r\n] or [a-zA-Z0-9_]`},
		{"(Node == n1", false, `1:12 (11): rule "grouping": Unmatched parentheses`},
		{"Node == n1 and Node =", false, `1:21 (20): no match found, expected: "!=", "==", "contains", "in", "is", "matches", "not" or [ \t\r\n]`},
		{"Node == n1)", false, `1:11 (10): no match found, expected: "(", "and", "not", "or" or a match`},
		{"Node == n1 and", false, `1:15 (14): no match found, expected: "(", "and", "not", "or" or a match`},
		{"  ", false, `1:3 (2): no match found, expected: "(", "and", "not", "or" or a match`},
		{strings.Repeat("(", 5000), false, "the expression is nested more than 100 deep"},
		{strings.Repeat("not ", 3000), false, "the expression is nested more than 100 deep"},
		{strings.Repeat("a", 20000), false, "the expression is longer than 16384 bytes"},
	} {
		f, err := NewFilter[*Node](c.expression)
		if c.fails != "" {
			if want := "Failed to create boolean expression evaluator: " + c.fails; err == nil || err.Error() != want {
				t.Errorf("%.60q: got %v\nwant %s", c.expression, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", c.expression, err)
			continue
		}
		if keeps, err := f.Keep(n1); keeps != c.keeps || err != nil {
			t.Errorf("%q: got %v, %v", c.expression, keeps, err)
		}
	}
}

// cpu is what this process has used.
func cpu(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Every row of an answer can be filtered, whatever it leaves empty, and no expression takes long.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{
		"Service.Meta.i == 1 or not (Checks.Status != passing and Node.Meta is empty)",
		"((((((Node.Node == a", "Service.Weights.Passing == 1", "Service.Proxy.Upstreams.LocalBindPort != 3",
		"Service.TaggedAddresses.lan.Port == 1", "\"a\" not in Service.Tags", "Service.Proxy.Expose.Paths.Path matches \"^[a\"",
		"not not not Node.ID == `\"`", "Service.Connect.Native == true",
		"Node.Meta.a == b and a in Node.Meta", "Service.Tags contains a or Service.Tags is not empty", `Service.Proxy.Config["a b"] == 1`, "Node.Meta[`a`] not matches `b+`",
		"Checks is empty", "Checks.Definition.Interval != 10s", "Service.Port == -1", "Service.Port == 99999999999999999999", "Node.Node == \"\xff\"", "a in Service.Meta.b.c",
		"Service.Proxy.Upstreams.DestinationName == x and not Service.Weights.Passing != 0x1", "Node.Node ==", "or", "(Node.Node == a))", "\"unclosed", "A[\"" + strings.Repeat("a", 40), "Service.EnableTagOverride != maybe",
	} {
		f.Add(s)
	}
	rows := []*Entry{
		{Node: &Node{}, Service: &Instance{}},
		{Node: &Node{Meta: map[string]string{"a": "b"}}, Service: &Instance{Weights: &Weights{1, 1}, Tags: []string{"a"},
			Proxy: Proxy{Upstreams: []Upstream{{DestinationName: "x"}}}}, Checks: []*Check{{Status: Passing}}},
	}
	f.Fuzz(func(t *testing.T, expression string) {
		begin := cpu(t)
		filter, err := NewFilter[*Entry](expression)
		if took := cpu(t) - begin; took > 3*time.Second {
			t.Fatalf("parsing took %s of CPU", took)
		}
		if err != nil {
			return
		}
		if _, err := filter.Rows(rows); err != nil {
			t.Logf("%q: %v", expression, err)
		}
	})
}
