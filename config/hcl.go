package config

import (
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/parser"
	"github.com/hashicorp/hcl/hcl/token"

	"lictor/hcltext"
)

// parseHCL reads the text of an HCL file into an object.
func parseHCL(text []byte) (*value, *Problem) {
	file, err := hcltext.Parse(text)
	if err != nil {
		p := &Problem{Text: err.Error(), summary: err.Error()}
		var at *parser.PosError
		if errors.As(err, &at) {
			p.Line, p.Text = at.Pos.Line, at.Err.Error()
		}
		return nil, p
	}
	root, ok := file.Node.(*ast.ObjectList)
	if !ok {
		return nil, &Problem{Line: 1, Text: "the file is not a list of keys"}
	}
	return hclObject(root, 1)
}

func hclObject(list *ast.ObjectList, line int) (*value, *Problem) {
	object := &value{kind: objectKind, line: line}
	for _, item := range list.Items {
		v, p := hclValue(item.Val)
		if p != nil {
			return nil, p
		}
		line := item.Pos().Line
		for i := len(item.Keys) - 1; i > 0; i-- {
			name, p := hclKey(item.Keys[i])
			if p != nil {
				return nil, p
			}
			v = &value{kind: objectKind, line: line, fields: []field{{name: name, line: line, value: v}}}
		}
		if len(item.Keys) == 0 {
			return nil, &Problem{Line: line, Text: "a value without a key"}
		}
		name, p := hclKey(item.Keys[0])
		if p != nil {
			return nil, p
		}
		object.fields = append(object.fields, field{name: name, line: line, value: v})
	}
	return object, nil
}

func hclKey(key *ast.ObjectKey) (name string, p *Problem) {
	defer func() {
		if r := recover(); r != nil {
			p = &Problem{Line: key.Pos().Line, Text: "a malformed key"}
		}
	}()
	name, ok := key.Token.Value().(string)
	if !ok {
		return "", &Problem{Line: key.Pos().Line, Text: fmt.Sprintf("%s cannot be a key", key.Token.Text)}
	}
	return name, nil
}

func hclValue(node ast.Node) (*value, *Problem) {
	switch node := node.(type) {
	case *ast.ObjectType:
		return hclObject(node.List, node.Lbrace.Line)
	case *ast.ListType:
		list := &value{kind: listKind, line: node.Lbrack.Line}
		for _, e := range node.List {
			v, p := hclValue(e)
			if p != nil {
				return nil, p
			}
			list.list = append(list.list, v)
		}
		return list, nil
	case *ast.LiteralType:
		return hclLiteral(node)
	}
	return nil, &Problem{Text: fmt.Sprintf("unexpected %T", node)}
}

func hclLiteral(node *ast.LiteralType) (v *value, p *Problem) {
	line := node.Pos().Line
	defer func() {
		if r := recover(); r != nil {
			v, p = nil, &Problem{Line: line, Text: "a malformed literal"}
		}
	}()
	switch node.Token.Type {
	case token.NUMBER, token.FLOAT:
		return &value{kind: numberKind, line: line, text: node.Token.Text}, nil
	case token.BOOL:
		return &value{kind: boolKind, line: line, flag: node.Token.Value().(bool)}, nil
	case token.STRING, token.HEREDOC:
		return &value{kind: stringKind, line: line, text: node.Token.Value().(string)}, nil
	}
	return nil, &Problem{Line: line, Text: fmt.Sprintf("unexpected %s", node.Token.Text)}
}
