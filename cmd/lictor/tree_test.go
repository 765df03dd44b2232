package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each row of the list says what it is for and how it is called, and its example can be typed.
func TestCommandsAreDescribed(t *testing.T) {
	seen := map[string]bool{"": true}
	for _, row := range commands() {
		group, _, _ := cutLast(row.name)
		if !seen[group] {
			t.Errorf("%q comes before its group", row.name)
		}
		if seen[row.name] = true; row.about == "" || !strings.HasSuffix(row.about, ".") {
			t.Errorf("%q: about is %q: it must be of whole sentences", row.name, row.about)
		}
		if row.new == nil {
			continue
		}
		for line := range strings.SplitSeq(row.example, "\n") {
			words := splitLine(line)
			prefix := append([]string{"lictor"}, strings.Fields(row.name)...)
			if len(words) < len(prefix) || !slices.Equal(words[:len(prefix)], prefix) {
				t.Errorf("%q: the example %q is of another command", row.name, line)
				continue
			}
			if _, err := parse(row.flags(), words[len(prefix):]); err != nil {
				t.Errorf("%q: the example %q cannot be typed: %s", row.name, line, err)
			}
		}
		row.flags().VisitAll(func(f *flag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s -%s has no help", row.name, f.Name)
			}
		})
	}
}

func invoke(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	c := &console{in: strings.NewReader(""), out: &out, err: &err, getenv: func(string) string { return "" }}
	code = run(context.Background(), c, args)
	return code, out.String(), err.String()
}

func TestHelp(t *testing.T) {
	for _, line := range []string{"kv get -h", "kv get -help", "kv get --help", "help kv get", "kv get -keys -h"} {
		code, out, _ := invoke(strings.Fields(line)...)
		for _, want := range []string{"Usage: lictor kv get [flags]", "-separator=<text>", "Example:", "Client flags:", "CONSUL_HTTP_ADDR"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", line, want, out)
			}
		}
		if code != 0 {
			t.Errorf("%s: exit %d", line, code)
		}
	}
	for _, line := range []string{"-h", "--help", "help", "kv -h", "help kv"} {
		if code, out, _ := invoke(strings.Fields(line)...); code != 0 || !strings.Contains(out, "Subcommands:") {
			t.Errorf("%s: exit %d\n%s", line, code, out)
		}
	}
}

func TestUnknownCommands(t *testing.T) {
	for _, c := range []struct {
		line string
		code int
		says string
	}{
		{"nonsense", 127, `lictor has no command "nonsense"`},
		{"peering a b", 127, `lictor has no command "peering"`},
		{"", 127, "Usage: lictor"},
		{"kv", 1, "Usage: lictor kv"},
		{"kv puut", 1, `Did you mean "kv put"?`},
		{"operator raft nonsense", 1, `lictor has no command "operator raft nonsense"`},
	} {
		code, _, stderr := invoke(strings.Fields(c.line)...)
		if code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%q: exit %d\n%s", c.line, code, stderr)
		}
	}
}

func TestCompletion(t *testing.T) {
	for _, c := range []struct{ typed, want string }{
		{"kv get -rec", "-recurse\t"},
		{"kv get --rec", "--recurse\t"},
		{"kv g", "get\t"},
		{"operator r", "raft\t"},
		{"members -http", "-http-addr\t"},
	} {
		_, out, _ := invoke(append([]string{"__complete"}, strings.Fields(c.typed)...)...)
		if !strings.HasPrefix(out, c.want) {
			t.Errorf("%s: %q", c.typed, out)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if code, out, _ := invoke("completion", shell); code != 0 || !strings.Contains(out, "__complete") {
			t.Errorf("%s: exit %d", shell, code)
		}
	}
}

func TestFlagForms(t *testing.T) {
	type flags struct {
		text optional[string]
		yes  optional[bool]
		span optional[time.Duration]
		n    optional[uint64]
		tags list
		meta pairs
	}
	for _, c := range []struct {
		line string
		want flags
		rest string
	}{
		{"-text=a b", flags{text: optional[string]{"a", true}}, "b"},
		{"--text a b", flags{text: optional[string]{"a", true}}, "b"},
		{"-text= b", flags{text: optional[string]{"", true}}, "b"},
		{"b -text=a", flags{}, "b -text=a"},
		{"-yes b", flags{yes: optional[bool]{true, true}}, "b"},
		{"-yes=false b", flags{yes: optional[bool]{false, true}}, "b"},
		{"-span=10s -n=3", flags{span: optional[time.Duration]{10 * time.Second, true}, n: optional[uint64]{3, true}}, ""},
		{"-tag=a -tag b -meta=k=v=w", flags{tags: list{"a", "b"}, meta: pairs{"k": "v=w"}}, ""},
		{"-- -text=a", flags{}, "-text=a"},
	} {
		var got flags
		got.meta = pairs{}
		fs := flag.NewFlagSet("", flag.ContinueOnError)
		fs.Var(text(&got.text), "text", "")
		fs.Var(choice(&got.yes), "yes", "")
		fs.Var(span(&got.span), "span", "")
		fs.Var(count(&got.n), "n", "")
		fs.Var(&got.tags, "tag", "")
		fs.Var(got.meta, "meta", "")
		rest, err := parse(fs, strings.Fields(c.line))
		same := got.text == c.want.text && got.yes == c.want.yes && got.span == c.want.span && got.n == c.want.n &&
			slices.Equal(got.tags, c.want.tags) && len(got.meta) == len(c.want.meta) && got.meta["k"] == c.want.meta["k"]
		if err != nil || !same || strings.Join(rest, " ") != c.rest {
			t.Errorf("%s: %+v, %q, %v", c.line, got, rest, err)
		}
	}
}

func TestFlagErrors(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"-span=abc", `invalid value "abc" for flag -span: time: invalid duration "abc"`},
		{"-meta==v", `invalid value "=v" for flag -meta: "=v" is not of the form key=value`},
		{"-nonsense", "flag provided but not defined: -nonsense"},
		{"-text", "flag needs an argument: -text"},
	} {
		var d optional[time.Duration]
		var s optional[string]
		fs := flag.NewFlagSet("", flag.ContinueOnError)
		fs.Var(span(&d), "span", "")
		fs.Var(text(&s), "text", "")
		fs.Var(pairs{}, "meta", "")
		_, err := parse(fs, strings.Fields(c.line))
		var f *failure
		if !errors.As(err, &f) || !f.usage || err.Error() != c.want {
			t.Errorf("%s: %v", c.line, err)
		}
	}
}
