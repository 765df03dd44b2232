package acl_test

import (
	"errors"
	"testing"

	"lictor/acl"
)

// named is an Authorizer that gives nothing, of a token with a name.
type named struct{ acl.Authorizer }

func (named) Accessor() string { return "11111111-2222-4333-8444-555555555555" }

// The texts are Consul's: clients look for them.
func TestDenialsAreWordedAsConsulDoes(t *testing.T) {
	anonymous, known := acl.DenyAll(), named{acl.DenyAll()}
	for _, c := range []struct {
		az       acl.Authorizer
		resource acl.Resource
		name     string
		access   acl.Access
		want     string
	}{
		{known, acl.Key, "a/b", acl.Write, `Permission denied: token with AccessorID '11111111-2222-4333-8444-555555555555' lacks permission 'key:write' on "a/b"`},
		{known, acl.Key, "a/", acl.WritePrefix, `Permission denied: token with AccessorID '11111111-2222-4333-8444-555555555555' lacks permission 'key:write' on "a/"`},
		{anonymous, acl.ACL, "", acl.Read, `Permission denied: anonymous token lacks permission 'acl:read'. The anonymous token is used implicitly when a request does not specify a token.`},
	} {
		err := acl.Require(c.az, c.resource, c.name, c.access)
		if err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
		var denial *acl.Denial
		if !errors.As(err, &denial) || denial.ErrorCode() != "permission_denied" {
			t.Errorf("%v does not carry its code", err)
		}
	}
}

func TestWhoMayDoEverythingIsNotAsked(t *testing.T) {
	if err := acl.Require(acl.AllowAll(), acl.Operator, "", acl.Write); err != nil {
		t.Error(err)
	}
	if acl.AllowAll().ID() == acl.DenyAll().ID() {
		t.Error("two that differ share an id, and so would share results")
	}
}
