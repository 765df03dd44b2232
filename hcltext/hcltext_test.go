package hcltext

import "testing"

func TestTextsThatBreakTheParserAreRefused(t *testing.T) {
	for _, text := range []string{`{"\a\0`, `{"\x`, "{\"\\u", "a = <<", `key "" { A = "\7000" }`, `"\7000" = 1`, `a = 99999999999999999999`, `a = "${`, "\x00"} {
		if file, err := Parse([]byte(text)); err == nil || file != nil {
			t.Errorf("%q: parsed", text)
		}
		into := map[string]any{}
		if err := Decode(&into, text); err == nil || len(into) > 0 {
			t.Errorf("%q: decoded", text)
		}
	}
	into := map[string]any{}
	if err := Decode(&into, `Kind = "mesh"`); err != nil || into["Kind"] != "mesh" {
		t.Errorf("%v, %v", into, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{`{"\a\0`, `{"a": [{"b": 1.5e3}, true]}`, `a "b" { c = [1, "${d}", <<E` + "\nx\nE\n] }", "# c\na=0x1F /* */"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse([]byte(text))
		if (file == nil) == (err == nil) {
			t.Errorf("%v, %v", file, err)
		}
	})
}
