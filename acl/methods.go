package acl

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"lictor/claims"
	"lictor/filter"
	"lictor/rpc"
	"lictor/state"
)

// A verifier checks proofs of one auth method.
type verifier interface {
	// verify tells what a bearer token proves. Errors are for who logs in.
	verify(ctx context.Context, bearer string) (*proof, error)
	// names lists what binding rules may name in templates.
	names() []string
}

// A proof is what somebody has proven of themselves.
type proof struct {
	values map[string]string // by the names that templates have for them
	keeps  func(selector string) (bool, error)
}

// methodTypes are the types of auth methods as messages list them: those that Consul's list, too. The type oidc, which Consul
// keeps for its paid edition, is there besides.
const methodTypes = "[aws-iam jwt kubernetes]"

// verifier makes what checks proofs of a method, or tells what is wrong with its configuration.
func (s *Authority) verifier(m *AuthMethod) (verifier, error) {
	switch m.Type {
	case "jwt":
		return newJWT(m.Config, s.Keys)
	case "oidc":
		return newOIDC(m.Name, m.Config, s.Keys)
	case "kubernetes":
		return newKubernetes(m.Config)
	case "aws-iam":
		return nil, rpc.Errorf(rpc.NotImplemented, "auth methods of type aws-iam: not in this version of Lictor yet")
	}
	return nil, refuse("Invalid Auth Method: Type should be one of: %s", methodTypes)
}

// readConfig reads the configuration of a method, whose fields must be known.
func readConfig(text Document, into any) error {
	if len(text) == 0 {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return refuse("Invalid Auth Method: error decoding config: %s", err)
	}
	return nil
}

// SetAuthMethod makes or changes an auth method.
func (s *Authority) SetAuthMethod(ctx context.Context, az Authorizer, c *AuthMethodChange) (*AuthMethod, error) {
	if err := s.require(az, Write); err != nil {
		return nil, err
	}
	if s.Primary != "" && !s.TokensCopied {
		return nil, errNoLocal
	}
	m := c.Method
	tx, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.checkMethod(tx, &m); err != nil {
		return nil, err
	}
	return apply[*AuthMethod](ctx, s, &SetAuthMethod{m})
}

func (s *Authority) checkMethod(tx *state.Tx, m *AuthMethod) error {
	switch {
	case m.Name == "":
		return refuse("Invalid Auth Method: no Name is set")
	case !methodName.MatchString(m.Name):
		return refuse("Invalid Auth Method: invalid Name. Only alphanumeric characters, '-' and '_' are allowed")
	}
	if old := AuthMethods.Get(tx, strings.ToLower(m.Name)); old != nil {
		m.Name = old.Name
		if m.Type == "" {
			m.Type = old.Type
		}
		if m.Type != old.Type {
			return errMethodType
		}
	}
	if !slices.Contains([]string{"aws-iam", "jwt", "kubernetes", "oidc"}, m.Type) {
		return refuse("Invalid Auth Method: Type should be one of: %s", methodTypes)
	}
	switch {
	case m.MaxTokenTTL != 0 && m.MaxTokenTTL < minTTL:
		return refuse("MaxTokenTTL %s cannot be less than %s", m.MaxTokenTTL, minTTL)
	case m.MaxTokenTTL > maxTTL:
		return refuse("MaxTokenTTL %s cannot be more than %s", m.MaxTokenTTL, maxTTL)
	case m.TokenLocality != "" && m.TokenLocality != "local" && m.TokenLocality != "global":
		return refuse("Invalid Auth Method: TokenLocality should be one of 'local' or 'global'")
	case m.TokenLocality == "global" && s.Primary != "":
		return refuse("Invalid Auth Method: TokenLocality 'global' can only be used in the primary datacenter")
	}
	_, err := s.verifier(m)
	return err
}

// DeleteAuthMethod removes an auth method, its rules and its tokens, and answers whether it was there.
func (s *Authority) DeleteAuthMethod(ctx context.Context, az Authorizer, q *ByName) (bool, error) {
	if err := s.require(az, Write); err != nil {
		return false, err
	}
	if s.Primary != "" {
		return apply[bool](ctx, s, &DeleteLocalMethod{q.Name})
	}
	return apply[bool](ctx, s, &DeleteAuthMethod{q.Name})
}

// SetBindingRule makes or changes a binding rule.
func (s *Authority) SetBindingRule(ctx context.Context, az Authorizer, c *BindingRuleChange) (*BindingRule, error) {
	if err := s.require(az, Write); err != nil {
		return nil, err
	}
	r := c.Rule
	tx, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	if r.ID == "" {
		r.ID = newID()
	} else {
		if !uuid.MatchString(r.ID) {
			return nil, errLookup("binding rule")
		}
		old := BindingRules.Get(tx, strings.ToLower(r.ID))
		switch {
		case old == nil:
			return nil, refuse("cannot find binding rule %s", r.ID)
		case r.AuthMethod == "":
			r.AuthMethod = old.AuthMethod
		case !strings.EqualFold(r.AuthMethod, old.AuthMethod):
			return nil, refuse("the AuthMethod field of an Binding Rule is immutable")
		}
		r.ID = old.ID
	}
	if err := s.checkRule(tx, &r); err != nil {
		return nil, err
	}
	return apply[*BindingRule](ctx, s, &SetBindingRule{r})
}

func (s *Authority) checkRule(tx *state.Tx, r *BindingRule) error {
	if r.AuthMethod == "" {
		return refuse("Invalid Binding Rule: no AuthMethod is set")
	}
	m := AuthMethods.Get(tx, strings.ToLower(r.AuthMethod))
	if m == nil {
		return refuse("cannot find auth method with name %q", r.AuthMethod)
	}
	v, err := s.verifier(m)
	if err != nil {
		return err
	}
	if r.Selector != "" {
		if err := checkSelector(m.Type, r.Selector); err != nil {
			return refuse("invalid Binding Rule: Selector is invalid: %s", err)
		}
	}
	if r.BindName == "" {
		return refuse("Invalid Binding Rule: no BindName is set")
	}
	values := map[string]string{}
	for _, name := range v.names() {
		values[name] = "fake"
	}
	if err := r.check(values); err != nil {
		return refuse("Invalid Binding Rule: invalid BindName or BindVars: %s", err)
	}
	return nil
}

// check tells what is wrong with what the rule binds to.
func (r *BindingRule) check(values map[string]string) error {
	if !slices.Contains([]string{"service", "node", "role", "policy", "templated-policy"}, r.BindType) {
		return fmt.Errorf("invalid Binding Rule: unknown BindType %q", r.BindType)
	}
	if r.BindType != "templated-policy" && r.BindVars != nil {
		return fmt.Errorf("invalid Binding Rule: BindVars cannot be set when bind type is not templated-policy")
	}
	_, err := r.bind(values)
	if err != nil {
		return fmt.Errorf("failed to validate bindType %q: %w", r.BindType, err)
	}
	return nil
}

// bind makes what a rule gives to who has proven some values. Links have names alone.
func (r *BindingRule) bind(values map[string]string) (Grants, error) {
	var g Grants
	name, err := interpolate(r.BindName, values)
	if err != nil {
		return g, err
	}
	switch r.BindType {
	case "service":
		g.ServiceIdentities = []ServiceIdentity{{ServiceName: name}}
		return g, settleServices(&g, "rule")
	case "node":
		g.NodeIdentities = []NodeIdentity{{NodeName: name, Datacenter: "-"}} // see Authority.granted
		return g, settleNodes(&g, "rule")
	case "role":
		g.Roles = []Link{{Name: name}}
	case "policy":
		g.Policies = []Link{{Name: name}}
	case "templated-policy":
		p := TemplatedPolicy{TemplateName: name}
		if r.BindVars != nil {
			filled, err := interpolate(r.BindVars.Name, values)
			if err != nil {
				return g, err
			}
			p.TemplateVariables = &TemplateVariables{filled}
		}
		g.TemplatedPolicies = []TemplatedPolicy{p}
		return g, settleTemplates(&g)
	}
	return g, nil
}

// variable is what interpolate puts a value in place of.
var variable = regexp.MustCompile(`\$\{\s*([^{}]*?)\s*\}`)

// interpolate puts values in the place of ${name}.
func interpolate(template string, values map[string]string) (string, error) {
	var out strings.Builder
	at := 0
	for _, m := range variable.FindAllStringSubmatchIndex(template, -1) {
		name := template[m[2]:m[3]]
		value, ok := values[name]
		if !ok {
			return "", fmt.Errorf("error interpreting template: 1:%d: unknown variable accessed: %s", m[2]+1, name)
		}
		out.WriteString(template[at:m[0]])
		out.WriteString(value)
		at = m[1]
	}
	if strings.Contains(template[at:], "${") {
		return "", fmt.Errorf("error interpreting template: %q has a ${ without its }", template)
	}
	out.WriteString(template[at:])
	return out.String(), nil
}

// checkSelector tells what is wrong with the selector of a rule for methods of a type.
func checkSelector(kind, selector string) error {
	var err error
	if kind == "kubernetes" {
		_, err = filter.Parse[kubernetesFields](selector)
	} else {
		_, err = filter.Parse[claims.Claims](selector)
	}
	return err
}

// keeper makes the function of a proof that evaluates selectors: the values are parameters of the expression, and never
// part of its text.
func keeper[T any](fields T) func(string) (bool, error) {
	return func(selector string) (bool, error) {
		f, err := filter.Parse[T](selector)
		if err != nil {
			return false, err
		}
		return f.Keep(fields)
	}
}

// DeleteBindingRule removes a binding rule, and answers whether it was there.
func (s *Authority) DeleteBindingRule(ctx context.Context, az Authorizer, q *ByID) (bool, error) {
	if err := s.require(az, Write); err != nil {
		return false, err
	}
	if !uuid.MatchString(q.ID) {
		return false, errLookup("binding rule")
	}
	return apply[bool](ctx, s, &DeleteBindingRule{strings.ToLower(q.ID)})
}

// loginTimeout bounds how long the system that a proof comes from may take.
const loginTimeout = 15 * time.Second

// loginMethod finds the auth method that somebody wants to log in by, and what checks proofs of it.
func (s *Authority) loginMethod(ctx context.Context, name string) (*AuthMethod, verifier, error) {
	if !s.Enabled {
		return nil, nil, ErrDisabled
	}
	if s.Primary != "" && !s.TokensCopied {
		return nil, nil, errNoLocal
	}
	tx, err := s.read(ctx)
	if err != nil {
		return nil, nil, err
	}
	m := AuthMethods.Get(tx, strings.ToLower(name))
	if m == nil {
		return nil, nil, errNoMethod(name)
	}
	v, err := s.verifier(m)
	return m, v, err
}

// Login makes a token for who proves something to an auth method. Nobody needs a token to ask.
func (s *Authority) Login(ctx context.Context, _ Authorizer, l *Login) (*Token, error) {
	m, v, err := s.loginMethod(ctx, l.AuthMethod)
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	p, err := v.verify(bounded, l.BearerToken)
	if err != nil {
		return nil, refuse("%s", err)
	}
	return s.welcome(ctx, m, p, l.Meta)
}

// welcome makes a token for who has proven something.
func (s *Authority) welcome(ctx context.Context, m *AuthMethod, p *proof, meta map[string]string) (*Token, error) {
	tx, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	t := Token{AccessorID: newID(), SecretID: newID(), Description: "token created via login", Local: m.TokenLocality != "global",
		AuthMethod: m.Name, CreateTime: MomentOf(time.Now()), ExpirationTTL: m.MaxTokenTTL}
	if len(meta) > 0 {
		text, err := json.Marshal(meta)
		if err != nil {
			return nil, err
		}
		t.Description += ": " + string(text)
	}
	if t.Grants, err = s.granted(tx, m, p); err != nil {
		return nil, err
	}
	if err := t.settleExpiry(); err != nil {
		return nil, err
	}
	return s.putToken(ctx, &SetToken{Token: t, Create: true, Login: true})
}

// granted is what the rules of a method give to who has proven something. It is an error if that is nothing.
func (s *Authority) granted(tx *state.Tx, m *AuthMethod, p *proof) (Grants, error) {
	var all Grants
	for r := range BindingRules.Each(tx, "method", state.Key(strings.ToLower(m.Name))) {
		if r.Selector != "" {
			if keeps, err := p.keeps(r.Selector); err != nil || !keeps { // what names something unknown holds for nobody
				continue
			}
		}
		g, err := r.bind(p.values)
		if err != nil {
			return all, refuse("cannot compute %s bind name for bind target: %s", r.BindType, err)
		}
		for _, l := range g.Roles { // those that are there
			if role := roleByName(tx, l.Name); role != nil {
				all.Roles = append(all.Roles, Link{role.ID, role.Name})
			}
		}
		for _, l := range g.Policies {
			if policy := policyByName(tx, l.Name); policy != nil {
				all.Policies = append(all.Policies, Link{policy.ID, policy.Name})
			}
		}
		for _, n := range g.NodeIdentities {
			all.NodeIdentities = append(all.NodeIdentities, NodeIdentity{n.NodeName, s.Datacenter})
		}
		all.ServiceIdentities = append(all.ServiceIdentities, g.ServiceIdentities...)
		all.TemplatedPolicies = append(all.TemplatedPolicies, g.TemplatedPolicies...)
	}
	if len(all.Roles)+len(all.Policies)+len(all.NodeIdentities)+len(all.ServiceIdentities)+len(all.TemplatedPolicies) == 0 {
		return all, rpc.Errorf(rpc.PermissionDenied, "Permission denied")
	}
	return all, nil
}

// Logout removes the caller's token, which must have been made at a login.
func (s *Authority) Logout(ctx context.Context, az Authorizer, _ *struct{}) (bool, error) {
	if !s.Enabled {
		return false, ErrDisabled
	}
	tx, err := s.read(ctx)
	if err != nil {
		return false, err
	}
	t := tokenOf(tx, az.Accessor())
	switch {
	case az.Accessor() == "" || t == nil:
		return false, ErrNotFound
	case t.AuthMethod == "":
		return false, rpc.Errorf(rpc.PermissionDenied, "Permission denied: token wasn't created via login")
	}
	_, err = s.Log.Apply(ctx, &DeleteTokens{[]string{t.AccessorID}})
	return err == nil, err
}
