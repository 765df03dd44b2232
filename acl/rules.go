package acl

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/token"

	"lictor/hcltext"
)

// A Rule gives a level of access to what it names.
type Rule struct {
	Resource Resource
	Prefix   bool   // of everything whose name begins with Name
	Name     string // "" for resources without names
	Level    Level
}

// Level is how much access a rule gives. A higher one includes the lower ones, but Deny, which takes everything away.
type Level uint8

// The levels, by how rules for the same name are weighed: the highest wins.
const (
	unset Level = iota // says nothing
	LevelRead
	LevelList
	LevelWrite
	LevelDeny
)

var levelNames = map[string]Level{"read": LevelRead, "list": LevelList, "write": LevelWrite, "deny": LevelDeny}

// String is the level as rules are written.
func (l Level) String() string {
	for name, level := range levelNames {
		if level == l {
			return name
		}
	}
	return ""
}

// gives tells whether a level includes an access.
func (l Level) gives(access Access) bool {
	switch access {
	case Read:
		return l == LevelRead || l == LevelList || l == LevelWrite
	case List:
		return l == LevelList || l == LevelWrite
	}
	return l == LevelWrite
}

// named are the resources whose rules name what they are about, with what messages call the rule and its fields.
var named = map[Resource]struct{ rule, name, rest string }{
	Agent:   {"AgentRule", "Node", ""},
	Event:   {"EventRule", "Event", ""},
	Key:     {"KeyRule", "Prefix", ", EnterpriseRule:acl.EnterpriseRule{}"},
	Node:    {"NodeRule", "Name", ", EnterpriseRule:acl.EnterpriseRule{}"},
	Query:   {"PreparedQueryRule", "Prefix", ""},
	Service: {"ServiceRule", "Name", ", EnterpriseRule:acl.EnterpriseRule{}"},
	Session: {"SessionRule", "Node", ""},
}

// unnamed are the resources of which there is one.
var unnamed = map[Resource]bool{ACL: true, Keyring: true, Mesh: true, Operator: true, Peering: true}

// MaxRules bounds the text of one policy's rules, in bytes.
const MaxRules = 512 << 10

// maxNesting bounds how deep the text nests: rules need two levels.
const maxNesting = 16

// ParseRules reads the rules of a policy, in HCL or JSON. Resources that are not known are left out, as by Consul.
func ParseRules(text string) ([]Rule, error) {
	if len(text) > MaxRules {
		return nil, fmt.Errorf("Failed to parse ACL rules: %d bytes are more than the %d that are allowed", len(text), MaxRules)
	}
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	if nesting(text) > maxNesting {
		return nil, fmt.Errorf("Failed to parse ACL rules: nested more than %d deep", maxNesting)
	}
	file, err := hcltext.Parse([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("Failed to parse ACL rules: %w", err)
	}
	root, ok := file.Node.(*ast.ObjectList)
	if !ok {
		return nil, fmt.Errorf("Failed to parse ACL rules: an object is expected")
	}
	var p ruleParser
	if err := p.read(root); err != nil {
		return nil, err
	}
	return p.rules, nil
}

// nesting is how deep brackets nest outside of strings, or more.
func nesting(text string) int {
	deepest, depth, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == '\n':
			quoted = false
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case (c == '}' || c == ']') && depth > 0:
			depth--
		}
	}
	return deepest
}

// A ruleParser collects the rules of one text.
type ruleParser struct {
	rules []Rule
	seen  map[Resource]bool // resources without names that have been set
}

func (p *ruleParser) read(root *ast.ObjectList) error {
	p.seen = map[Resource]bool{}
	for _, item := range root.Items {
		kind := keyText(item.Keys[0])
		bare := strings.TrimSuffix(kind, "_prefix")
		var err error
		switch {
		case unnamed[Resource(kind)]:
			err = p.scalar(Resource(kind), item)
		case named[Resource(bare)].rule != "":
			err = p.blocks(kind, item.Keys[1:], item.Val)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scalar reads acl = "read" and its like.
func (p *ruleParser) scalar(resource Resource, item *ast.ObjectItem) error {
	text, ok := literal(item.Val)
	if !ok || len(item.Keys) > 1 {
		return fmt.Errorf("Failed to parse ACL rules: %s must be one of \"read\", \"write\" and \"deny\"", resource)
	}
	if p.seen[resource] {
		return fmt.Errorf("Failed to parse ACL rules: %s: the argument %q was already set; each argument can only be defined once", item.Pos(), resource)
	}
	p.seen[resource] = true
	level := levelNames[text]
	if level == unset || level == LevelList {
		return fmt.Errorf("Invalid %s policy: %q", resource, text)
	}
	p.rules = append(p.rules, Rule{Resource: resource, Level: level})
	return nil
}

// blocks reads key "name" { ... } in each of the forms that HCL and JSON have for it.
func (p *ruleParser) blocks(kind string, keys []*ast.ObjectKey, value ast.Node) error {
	if list, ok := value.(*ast.ListType); ok {
		for _, one := range list.List {
			if err := p.blocks(kind, keys, one); err != nil {
				return err
			}
		}
		return nil
	}
	body, ok := value.(*ast.ObjectType)
	switch {
	case !ok || len(keys) > 1:
		return fmt.Errorf("Failed to parse ACL rules: %s takes a name and a block: %s \"name\" { policy = \"read\" }", kind, kind)
	case len(keys) == 1:
		return p.block(kind, keyText(keys[0]), body.List)
	}
	for _, item := range body.List.Items {
		if err := p.blocks(kind, item.Keys, item.Val); err != nil {
			return err
		}
	}
	return nil
}

// block reads what is between the braces.
func (p *ruleParser) block(kind, name string, body *ast.ObjectList) error {
	fields, err := textFields(body)
	if err != nil {
		return err
	}
	resource := Resource(strings.TrimSuffix(kind, "_prefix"))
	prefix := string(resource) != kind
	policy, intentions := fields["policy"], ""
	if resource == Service {
		intentions = fields["intentions"]
	}
	level := levelNames[policy]
	if level == unset || level == LevelList && resource != Key {
		return fmt.Errorf("Invalid %s policy: %s", kind, wordRule(resource, name, policy, intentions))
	}
	p.rules = append(p.rules, Rule{resource, prefix, name, level})
	if resource != Service {
		return nil
	}
	of := LevelRead // who may see a service may see what is allowed to reach it
	if level == LevelDeny {
		of = LevelDeny
	}
	if intentions != "" {
		if of = levelNames[intentions]; of == unset || of == LevelList {
			return fmt.Errorf("Invalid %s intentions policy: %s", kind, wordRule(resource, name, policy, intentions))
		}
	}
	p.rules = append(p.rules, Rule{Intention, prefix, name, of})
	return nil
}

// textFields are the fields of a block that are texts. What a field that is no text is about, is not known.
func textFields(body *ast.ObjectList) (map[string]string, error) {
	fields := map[string]string{}
	for _, item := range body.Items {
		key := keyText(item.Keys[0])
		text, ok := literal(item.Val)
		if !ok || len(item.Keys) > 1 {
			continue
		}
		if _, twice := fields[key]; twice {
			return nil, fmt.Errorf("Failed to parse ACL rules: %s: the argument %q was already set; each argument can only be defined once", item.Pos(), key)
		}
		fields[key] = text
	}
	return fields, nil
}

// wordRule words a rule as Consul's messages do.
func wordRule(resource Resource, name, policy, intentions string) string {
	n := named[resource]
	text := fmt.Sprintf("&acl.%s{%s:%q, Policy:%q", n.rule, n.name, name, policy)
	if resource == Service {
		text += fmt.Sprintf(", Intentions:%q", intentions)
	}
	return text + n.rest + "}"
}

func keyText(k *ast.ObjectKey) string {
	if text, ok := k.Token.Value().(string); ok {
		return text
	}
	return k.Token.Text
}

// literal is the text of a string.
func literal(n ast.Node) (string, bool) {
	l, ok := n.(*ast.LiteralType)
	if !ok || l.Token.Type != token.STRING && l.Token.Type != token.HEREDOC {
		return "", false
	}
	text, ok := l.Token.Value().(string)
	return text, ok
}
