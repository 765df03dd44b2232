package agent

import (
	"strings"
	"testing"

	"lictor/acl"
	"lictor/configentry"
	"lictor/rpc"
)

// What the primary datacenter owns is not carried out elsewhere, even if it is asked for as servers among themselves ask: the copies
// would differ from then on.
func TestASecondaryCarriesOutNothingThatIsOwned(t *testing.T) {
	s := start(t, t.TempDir(), `primary_datacenter = "dc9" acl { enabled = true default_policy = "allow" enable_token_replication = true }`)
	const id = "11111111-1111-4111-8111-111111111111"
	for method, args := range map[string]any{
		acl.SetPolicyMethod.Name:               &acl.PolicyChange{Policy: acl.Policy{Name: "mine"}},
		acl.DeletePolicyMethod.Name:            &acl.ByID{ID: id},
		acl.SetRoleMethod.Name:                 &acl.RoleChange{Role: acl.Role{Name: "mine"}},
		acl.DeleteRoleMethod.Name:              &acl.ByID{ID: id},
		acl.SetTokenMethod.Name:                &acl.TokenChange{Create: true},
		acl.CloneTokenMethod.Name:              &acl.Clone{AccessorID: acl.AnonymousID},
		acl.DeleteTokenMethod.Name:             &acl.ByID{ID: acl.AnonymousID},
		configentry.PutMethod.Name:             &configentry.Put{},
		configentry.DeleteMethod.Name:          &configentry.Delete{Kind: "proxy-defaults", Name: "global"},
		configentry.ChangeIntentionMethod.Name: &configentry.ChangeIntention{},
	} {
		body, err := rpc.Append(nil, args)
		if err != nil {
			t.Fatal(err)
		}
		for _, server := range []bool{false, true} {
			r := &rpc.Request{Header: rpc.Header{Direct: true}, Method: method, Args: body, Peer: rpc.Peer{Server: server}}
			if _, err := s.server.Answer(within(t), r); rpc.CodeOf(err) != rpc.NoDatacenter || !strings.Contains(err.Error(), "dc9") {
				t.Errorf("%s, from a server %t: %v", method, server, err)
			}
		}
	}
	for method, args := range map[string]any{acl.SetTokenMethod.Name: &acl.TokenChange{Create: true, Token: acl.Token{Local: true}}, acl.DeleteTokenMethod.Name: &acl.ByID{ID: id}} {
		body, err := rpc.Append(nil, args)
		if err != nil {
			t.Fatal(err)
		}
		r := &rpc.Request{Header: rpc.Header{Direct: true}, Method: method, Args: body, Peer: rpc.Peer{Server: true}}
		if _, err := s.server.Answer(within(t), r); rpc.CodeOf(err) != rpc.PermissionDenied {
			t.Errorf("%s of a local token: %v", method, err)
		}
	}
}
