// Package acl knows who may do what. It knows resources and access levels, and how a denial is worded; it knows
// nothing of what is behind a resource's name.
package acl

import (
	"errors"
	"fmt"
)

// A Resource is a kind of thing that access is given to.
type Resource string

// The resources, by the names that Consul's rules and messages use.
const (
	ACL       Resource = "acl"
	Agent     Resource = "agent"
	Event     Resource = "event"
	Intention Resource = "intention"
	Key       Resource = "key"
	Keyring   Resource = "keyring"
	Mesh      Resource = "mesh"
	Node      Resource = "node"
	Operator  Resource = "operator"
	Peering   Resource = "peering"
	Query     Resource = "query"
	Service   Resource = "service"
	Session   Resource = "session"
)

// Access is what is to be done with a resource.
type Access string

// The access levels. WritePrefix asks for write access to everything whose name begins with the given one.
const (
	Read        Access = "read"
	List        Access = "list"
	Write       Access = "write"
	WritePrefix Access = "write-prefix"
)

// An Authorizer answers for one token, at one moment, what it may do. It may be used from any goroutine.
type Authorizer interface {
	// Allow tells whether the access to the named resource is given. Resources without names (acl, keyring, mesh,
	// operator, peering) take "".
	Allow(resource Resource, name string, access Access) bool
	// ID is the same for two Authorizers if and only if they give the same answers: results may be shared by it.
	ID() string
	// Accessor is the public name of the token, for messages; "" is the anonymous token.
	Accessor() string
}

// A Denial is the error of an access that was not given.
type Denial struct {
	Accessor string
	Resource Resource
	Name     string
	Access   Access
	Unheard  error // why it cannot be found out what the token may do, where acl.down_policy is to deny then; nil: it is known
}

// Error words the denial as Consul does.
func (d *Denial) Error() string {
	if d.Unheard != nil {
		return fmt.Sprintf("Permission denied: what this token may do cannot be found out, and acl.down_policy is %q: %s", DownDeny, d.Unheard)
	}
	text := fmt.Sprintf("Permission denied: token with AccessorID '%s' lacks permission '%s:%s'", d.Accessor, d.Resource, d.level())
	if d.Accessor == "" {
		text = fmt.Sprintf("Permission denied: anonymous token lacks permission '%s:%s'", d.Resource, d.level())
	}
	if d.Name != "" {
		text += fmt.Sprintf(" on %q", d.Name)
	}
	if d.Accessor == "" {
		text += ". The anonymous token is used implicitly when a request does not specify a token."
	}
	return text
}

func (d *Denial) level() Access {
	if d.Access == WritePrefix {
		return Write
	}
	return d.Access
}

// ErrorCode is the code under which package rpc carries a denial.
func (*Denial) ErrorCode() string { return "permission_denied" }

// Require returns a *Denial unless the access is given.
func Require(az Authorizer, resource Resource, name string, access Access) error {
	if az.Allow(resource, name, access) {
		return nil
	}
	return Deny(az, resource, name, access)
}

// Deny makes the error of an access that az has not given.
func Deny(az Authorizer, resource Resource, name string, access Access) *Denial {
	d := &Denial{Accessor: az.Accessor(), Resource: resource, Name: name, Access: access}
	if b, ok := az.(*blanket); ok {
		d.Unheard = b.cause
	}
	return d
}

type allowAll struct{}

func (allowAll) Allow(Resource, string, Access) bool { return true }
func (allowAll) ID() string                          { return "" }
func (allowAll) Accessor() string                    { return "" }

// AllowAll gives every access: the Authorizer of a cluster without ACLs.
func AllowAll() Authorizer { return allowAll{} }

type denyAll struct{ allowAll }

func (denyAll) Allow(Resource, string, Access) bool { return false }
func (denyAll) ID() string                          { return "deny" }

// DenyAll gives no access at all.
func DenyAll() Authorizer { return denyAll{} }

// Known tells whether there is such a resource and such an access to it.
func Known(resource Resource, access Access) bool {
	if !unnamed[resource] && named[resource].rule == "" && resource != Intention {
		return false
	}
	return access == Read || access == Write || resource == Key && (access == List || access == WritePrefix)
}

// Reworded is an error as the token of az gets it: tokens of the same rights share results, and a denial among these
// names whoever asked first.
func Reworded(err error, az Authorizer) error {
	var d *Denial
	if !errors.As(err, &d) || d.Accessor == az.Accessor() {
		return err
	}
	c := *d
	c.Accessor = az.Accessor()
	return &c
}
