package architecture

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// trusting are the files that decode without a look at the lengths that a message claims, with the reason why they may.
var trusting = map[string]string{
	"rpc/codec.go":          "it looks at them first",
	"catalog/listing.go":    "package rpc calls it, which has looked",
	"event/inbox.go":        "an event has no lists",
	"state/snapshot.go":     "all of a row has arrived, element by element",
	"raftstore/commands.go": "entries of the log come from servers, which have encoded them",
}

// Generated code makes room for as many elements as a message claims to have. So whatever comes from others is decoded by
// rpc.Decode, which looks at that first.
func TestLengthsAreNotBelieved(t *testing.T) {
	decodes := func(text string) bool {
		return strings.Contains(text, ".UnmarshalMsg(") || strings.Contains(text, ") UnmarshalMsg(")
	}
	checkFiles(t, decodes, trusting, "decodes with UnmarshalMsg, which believes lengths: use rpc.Decode")
}

// checkFiles tells of files of the program, other than generated ones, that do something without being on a list, and of those on
// the list that do not.
func checkFiles(t *testing.T, does func(text string) bool, listed map[string]string, what string) {
	t.Helper()
	root := filepath.Join("..", "..")
	var found []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_gen.go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if does(string(text)) {
			name, _ := filepath.Rel(root, path)
			found = append(found, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range found {
		if listed[name] == "" {
			t.Errorf("%s %s", name, what)
		}
	}
	for name := range listed {
		if !slices.Contains(found, name) {
			t.Errorf("%s is on the list without need: take it off", name)
		}
	}
}
