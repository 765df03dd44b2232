package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What was exported is imported as it was, whatever keys and values look like.
func TestExportAndImport(t *testing.T) {
	const odd = `[
	{"key":"/lead","flags":0,"value":"MQ=="},
	{"key":"a b?c=d&e#f%2Fg+h;i","flags":18446744073709551615,"value":"AP8K"},
	{"key":"a/./b/../c","flags":0,"value":"MQ=="},
	{"key":"a/..","flags":0,"value":"MQ=="},
	{"key":"dir/","flags":3,"value":""},
	{"key":"dir//","flags":0,"value":""},
	{"key":"dir//x","flags":0,"value":""},
	{"key":"ü/<&>é\"\\","flags":1,"value":"w7w="}
]`
	from := newRealAgent(t, oneServer).leads()
	file := filepath.Join(t.TempDir(), "odd.json")
	if err := os.WriteFile(file, []byte(odd), 0o600); err != nil {
		t.Fatal(err)
	}
	from.finds(0, "kv import @"+file)
	_, first, _ := from.lictor("kv", "export")
	if n := strings.Count(first, `"key"`); n != 8 {
		t.Fatalf("%d keys were exported:\n%s", n, first)
	}
	for _, want := range []string{`"/lead"`, `"flags": 18446744073709551615`, `"value": "AP8K"`, `"dir//"`, `"a/./b/../c"`} {
		if !strings.Contains(first, want) {
			t.Errorf("no %s in\n%s", want, first)
		}
	}
	if err := os.WriteFile(file, []byte(first), 0o600); err != nil {
		t.Fatal(err)
	}
	to := newRealAgent(t, oneServer).leads()
	to.finds(0, "kv import @"+file)
	if _, second, _ := to.lictor("kv", "export"); second != first {
		t.Errorf("%s\nhas become\n%s", first, second)
	}
	to.finds(0, "kv import -prefix=p/ @"+file)
	_, below, _ := to.lictor("kv", "export", "p/")
	if got := strings.ReplaceAll(below, `"key": "p/`, `"key": "`); got != first {
		t.Errorf("%s\nhas become, below a prefix,\n%s", first, below)
	}
	to.finds(1, "kv import -prefix=/p @"+file, "Invalid prefix")
	to.finds(1, `kv import [{"key":"x","value":""},{"value":""}]`, "Entry 2 of the data has no key")
	if _, out, _ := to.lictor("kv", "get", "-keys", "x"); out != "" {
		t.Errorf("something was written: %s", out)
	}
}
