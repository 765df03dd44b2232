package telemetry

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// reporting are the methods whose first argument is a name.
func reporting() []string {
	return []string{"Counter", "Counters", "Gauge", "GaugeFunc", "Sample", "Samples"}
}

// TestAllNamesAreKnown looks through the code of the project for names that are reported and not in the table.
func TestAllNamesAreKnown(t *testing.T) {
	known := helpTexts()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil || !reports(file) {
			return nil // what does not parse fails elsewhere
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if name, ok := reported(n); ok && known[name] == "" {
				t.Errorf("%s reports %q, which is not in known.tsv", path, name)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func reports(file *ast.File) bool {
	return file.Name.Name == "telemetry" || slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool {
		return i.Path.Value == `"lictor/telemetry"`
	})
}

func reported(n ast.Node) (string, bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) == 0 {
		return "", false
	}
	method := ""
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		method = f.Sel.Name
	case *ast.Ident:
		method = f.Name
	}
	name, ok := call.Args[0].(*ast.BasicLit)
	if !ok || name.Kind != token.STRING || !slices.Contains(append(reporting(), "emit"), method) {
		return "", false
	}
	text, err := strconv.Unquote(name.Value)
	return text, err == nil
}

func TestOwnSeriesAreKnown(t *testing.T) {
	cfg := DefaultConfig()
	cfg.EnableHostMetrics, cfg.DisableHostname = true, true
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	known := helpTexts()
	for _, g := range r.Summary().Gauges {
		if name := strings.TrimPrefix(g.Name, "consul."); known[name] == "" {
			t.Errorf("%s is not in known.tsv", name)
		}
	}
}
