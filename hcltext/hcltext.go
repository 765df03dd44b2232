// Package hcltext parses texts in HCL's first version, or in its JSON. It knows nothing of what they say.
package hcltext

import (
	"fmt"

	"github.com/hashicorp/hcl"
	"github.com/hashicorp/hcl/hcl/ast"
)

// Parse parses a text. It makes an error of a panic of the parser, which some malformed texts bring about.
func Parse(text []byte) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			file, err = nil, fmt.Errorf("the text cannot be parsed: %v", r)
		}
	}()
	return hcl.ParseBytes(text)
}

// Decode parses a text into what into points to, by HCL's rules.
func Decode(into any, text string) error {
	file, err := Parse([]byte(text))
	if err != nil {
		return err
	}
	return hcl.DecodeObject(into, file)
}
