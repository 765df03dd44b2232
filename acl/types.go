package acl

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"lictor/claims"
	"lictor/state"
)

//go:generate go tool msgp -o types_gen.go -tests=false -io=false

// A Policy is rules under a name.
type Policy struct {
	ID          string
	Name        string
	Description string
	Rules       string
	Datacenters []string `json:",omitempty" msg:"Datacenters,allownil"` // where it holds; none means everywhere
	Hash        []byte   `msg:"Hash,allownil"`
	CreateIndex uint64
	ModifyIndex uint64
}

// A Link names a policy or a role. What is stored has the ID; the name is that of the moment of reading.
type Link struct {
	ID   string
	Name string
}

// A ServiceIdentity is what an instance of a service needs.
type ServiceIdentity struct {
	ServiceName string
	Datacenters []string `json:",omitempty" msg:"Datacenters,allownil"`
}

// A NodeIdentity is what the agent of a node needs.
type NodeIdentity struct {
	NodeName   string
	Datacenter string
}

// A TemplatedPolicy is a policy made of a template.
type TemplatedPolicy struct {
	TemplateID        string             `json:",omitempty"`
	TemplateName      string             `json:",omitempty"`
	TemplateVariables *TemplateVariables `json:",omitempty"`
	Datacenters       []string           `json:",omitempty" msg:"Datacenters,allownil"`
}

// TemplateVariables are what a template is filled in with.
type TemplateVariables struct {
	Name string `json:"name,omitempty"`
}

// Grants are what tokens and roles may hold.
type Grants struct {
	Policies          []Link            `json:",omitempty" msg:"Policies,allownil"`
	Roles             []Link            `json:",omitempty" msg:"Roles,allownil"` // of tokens alone
	ServiceIdentities []ServiceIdentity `json:",omitempty" msg:"ServiceIdentities,allownil"`
	NodeIdentities    []NodeIdentity    `json:",omitempty" msg:"NodeIdentities,allownil"`
	TemplatedPolicies []TemplatedPolicy `json:",omitempty" msg:"TemplatedPolicies,allownil"`
}

// A Role is grants under a name.
type Role struct {
	ID          string
	Name        string
	Description string
	Grants
	Hash        []byte `msg:"Hash,allownil"`
	CreateIndex uint64
	ModifyIndex uint64
}

// A Token is a secret and what who knows it may do.
type Token struct {
	AccessorID  string // its public name
	SecretID    string
	Description string
	Grants
	Local          bool
	AuthMethod     string        `json:",omitempty"` // by which it was made at a login
	ExpirationTTL  time.Duration `json:"-"`          // of a new one; ExpirationTime is made of it
	ExpirationTime Moment        `json:",omitempty"`
	CreateTime     Moment
	Hash           []byte `msg:"Hash,allownil"`
	CreateIndex    uint64
	ModifyIndex    uint64
}

// Expired tells whether the token is good no more.
func (t *Token) Expired(now time.Time) bool {
	return t.ExpirationTime != 0 && now.UnixNano() >= int64(t.ExpirationTime)
}

// An AuthMethod is a way to get a token with a proof of another system.
type AuthMethod struct {
	Name          string
	Type          string
	DisplayName   string        `json:",omitempty"`
	Description   string        `json:",omitempty"`
	MaxTokenTTL   time.Duration `json:"-"` // of the tokens it makes; 0 is no end
	TokenLocality string        `json:",omitempty"`
	Config        Document
	CreateIndex   uint64
	ModifyIndex   uint64
}

// MarshalJSON writes the time as a text.
func (m *AuthMethod) MarshalJSON() ([]byte, error) {
	type plain AuthMethod
	out := struct {
		MaxTokenTTL string `json:",omitempty"`
		*plain
	}{plain: (*plain)(m)}
	if m.MaxTokenTTL != 0 {
		out.MaxTokenTTL = m.MaxTokenTTL.String()
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads the time as a text or as a number of nanoseconds.
func (m *AuthMethod) UnmarshalJSON(b []byte) error {
	type plain AuthMethod
	in := struct {
		MaxTokenTTL claims.Duration
		*plain
	}{plain: (*plain)(m)}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	m.MaxTokenTTL = time.Duration(in.MaxTokenTTL)
	return nil
}

// A BindingRule says what a token gets that is made at a login.
type BindingRule struct {
	ID          string
	Description string
	AuthMethod  string
	Selector    string
	BindType    string
	BindName    string
	BindVars    *TemplateVariables `json:",omitempty"`
	CreateIndex uint64
	ModifyIndex uint64
}

// A Document is JSON of any form.
type Document []byte

// MarshalJSON writes the document; null if there is none, and a text if it is no JSON.
func (d Document) MarshalJSON() ([]byte, error) {
	switch {
	case len(d) == 0:
		return []byte("null"), nil
	case !json.Valid(d):
		return json.Marshal(string(d))
	}
	return d, nil
}

// UnmarshalJSON takes the document as it is.
func (d *Document) UnmarshalJSON(b []byte) error {
	*d = nil
	if !bytes.Equal(b, []byte("null")) {
		*d = append(Document(nil), b...)
	}
	return nil
}

// Begun is that the ACLs have had their first token of all rights. Reset is the index at which that was.
type Begun struct {
	Key   string
	Index uint64
}

const begunKey = "bootstrap"

// The tables. Identifiers are lower case, but those of tokens are kept as they were given.
var (
	Policies = state.NewTable("acl-policies", func(p *Policy) string { return p.ID },
		state.Index[Policy]{Name: "name", Unique: true, Keys: state.One(func(p *Policy) string { return state.Key(strings.ToLower(p.Name)) })})
	Roles = state.NewTable("acl-roles", func(r *Role) string { return r.ID },
		state.Index[Role]{Name: "name", Unique: true, Keys: state.One(func(r *Role) string { return state.Key(strings.ToLower(r.Name)) })})
	Tokens = state.NewTable("acl-tokens", (*Token).key,
		state.Index[Token]{Name: "secret", Unique: true, Keys: state.One(func(t *Token) string { return state.Key(t.SecretID) })},
		state.Index[Token]{Name: "method", Keys: func(t *Token) []string {
			if t.AuthMethod == "" {
				return nil
			}
			return []string{state.Key(t.AuthMethod)}
		}},
		state.Index[Token]{Name: "expires", Keys: func(t *Token) []string {
			if t.ExpirationTime == 0 {
				return nil
			}
			return []string{fmt.Sprintf("%020d", t.ExpirationTime)}
		}})
	AuthMethods  = state.NewTable("acl-auth-methods", func(m *AuthMethod) string { return strings.ToLower(m.Name) })
	BindingRules = state.NewTable("acl-binding-rules", func(r *BindingRule) string { return r.ID },
		state.Index[BindingRule]{Name: "method", Keys: state.One(func(r *BindingRule) string { return state.Key(strings.ToLower(r.AuthMethod)) })})
	begun = state.NewTable("acl-begun", func(b *Begun) string { return b.Key })
)

// Tables lists the package's tables.
func Tables() []state.AnyTable {
	return []state.AnyTable{Policies, Roles, Tokens, AuthMethods, BindingRules, begun}
}

// What is there from the beginning.
const (
	AnonymousID         = "00000000-0000-0000-0000-000000000002"
	anonymousSecret     = "anonymous"
	reservedIDs         = "00000000-0000-0000-0000-0000000000" // identifiers that begin so are nobody's
	globalManagementID  = "00000000-0000-0000-0000-000000000001"
	globalReadOnlyID    = "00000000-0000-0000-0000-000000000002"
	globalManagement    = "global-management"
	globalReadOnly      = "builtin/global-read-only"
	bootstrapText       = "Bootstrap Token (Global Management)"
	initialText         = "Initial Management Token"
	managementRules     = "acl = \"write\"\nagent_prefix \"\" {\n\tpolicy = \"write\"\n}\nevent_prefix \"\" {\n\tpolicy = \"write\"\n}\nkey_prefix \"\" {\n\tpolicy = \"write\"\n}\nkeyring = \"write\"\nnode_prefix \"\" {\n\tpolicy = \"write\"\n}\noperator = \"write\"\nmesh = \"write\"\npeering = \"write\"\nquery_prefix \"\" {\n\tpolicy = \"write\"\n}\nservice_prefix \"\" {\n\tpolicy = \"write\"\n\tintentions = \"write\"\n}\nsession_prefix \"\" {\n\tpolicy = \"write\"\n}\n"
	readOnlyDescription = "A built-in policy that grants read-only access to all Consul features"
	managementAll       = "A built-in policy that grants read and write access to all Consul features"
)

// builtin are the policies that are there from the beginning.
func builtin() []*Policy {
	return []*Policy{
		{ID: globalManagementID, Name: globalManagement, Description: managementAll, Rules: managementRules},
		{ID: globalReadOnlyID, Name: globalReadOnly, Description: readOnlyDescription, Rules: strings.ReplaceAll(managementRules, "write", "read")},
	}
}

// hashOf is what changes when what a row says does.
func hashOf(row any) []byte {
	b, err := json.Marshal(row)
	if err != nil {
		panic(fmt.Sprintf("acl: %v", err)) // rows are plain data
	}
	sum := sha256.Sum256(b)
	return sum[:]
}

// The names that are allowed.
var (
	policyName   = regexp.MustCompile(`^[A-Za-z0-9\-_]+(/[A-Za-z0-9\-_]+)?$`)
	roleName     = regexp.MustCompile(`^[A-Za-z0-9\-_]{1,256}$`)
	methodName   = regexp.MustCompile(`^[A-Za-z0-9\-_]{1,128}$`)
	identityName = regexp.MustCompile(`^[a-z0-9]([a-z0-9\-_]*[a-z0-9])?$`)
	uuid         = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)
)
