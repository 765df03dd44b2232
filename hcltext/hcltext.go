// Package hcltext parses texts in HCL's first version, or in its JSON. It knows nothing of what they say.
package hcltext

import (
	"cmp"
	"fmt"

	"github.com/hashicorp/hcl"
	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/parser"
	"github.com/hashicorp/hcl/hcl/token"
)

// Parse parses a text, whose tokens all have a value. It makes an error of a panic of the parser, which some malformed
// texts bring about.
func Parse(text []byte) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			file, err = nil, fmt.Errorf("the text cannot be parsed: %v", r)
		}
	}()
	if file, err = hcl.ParseBytes(text); err != nil {
		return nil, err
	}
	ast.Walk(file.Node, func(n ast.Node) (ast.Node, bool) {
		switch n := n.(type) {
		case *ast.ObjectKey:
			err = cmp.Or(err, evaluate(n.Token))
		case *ast.LiteralType:
			err = cmp.Or(err, evaluate(n.Token))
		}
		return n, true
	})
	if err != nil {
		return nil, err
	}
	return file, nil
}

// evaluate refuses a token that has no value, such as "\7000", which token.Value would tell by a panic.
func evaluate(t token.Token) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &parser.PosError{Pos: t.Pos, Err: fmt.Errorf("%s has no value: %v", t.Text, r)}
		}
	}()
	t.Value()
	return nil
}

// Decode parses a text into what into points to, by HCL's rules.
func Decode(into any, text string) error {
	file, err := Parse([]byte(text))
	if err != nil {
		return err
	}
	return hcl.DecodeObject(into, file)
}
