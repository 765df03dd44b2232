package acl

import "lictor/rpc"

// The texts are Consul's: clients look for them.
var (
	// ErrNotFound tells that there is no token with the secret that a request has come with.
	ErrNotFound error = &rpc.Error{Code: rpc.PermissionDenied, Text: "ACL not found"}
	// ErrNotBegun is ErrNotFound before there has been any token.
	ErrNotBegun error = &rpc.Error{Code: rpc.PermissionDenied, Text: "ACL system must be bootstrapped before making any requests that require authorization: ACL not found"}
	// ErrDisabled tells that there are no ACLs.
	ErrDisabled   error = &rpc.Error{Code: codeDisabled, Text: "ACL support disabled"}
	errNoToken          = &rpc.Error{Code: rpc.PermissionDenied, Text: "token does not exist: ACL not found"}
	errMethodType       = refuse("the Type field of an Auth Method is immutable")
	errNoLocal          = refuse("Local tokens are disabled") // for want of acl.enable_token_replication
)

// codeDisabled is the code of ErrDisabled.
const codeDisabled rpc.Code = "acl_disabled"

func errBegun(index uint64) error {
	return rpc.Errorf(rpc.PermissionDenied, "Permission denied: ACL bootstrap no longer allowed (reset index: %d)", index)
}

func errNoMethod(name string) error {
	return rpc.Errorf(rpc.PermissionDenied, "ACL not found: auth method %q not found", name)
}

func errLookup(what string) error {
	return refuse("failed acl %s lookup: index error: UUID must be 36 characters", what)
}
