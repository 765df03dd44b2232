package catalog

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lictor/acl"
	"lictor/rpc"
	"lictor/state"
)

// The methods. Both answer true.
var (
	RegisterMethod   = rpc.Method[Register, bool]{Name: "Catalog.Register"}
	DeregisterMethod = rpc.Method[Deregister, bool]{Name: "Catalog.Deregister"}
)

// A Service answers the package's methods and queries on a server.
type Service struct {
	Log        state.Log
	Datacenter string // of the nodes that are registered without one
	// Distance estimates the round trip between two nodes; ok is false if it is not known. Nil knows of none.
	Distance func(tx *state.Tx, a, b string) (rtt time.Duration, ok bool)
	Gateways Gateways // nil knows of none
}

// Register writes a node with a service and checks. Who may not write the node may repeat it as it stands.
func (s *Service) Register(ctx context.Context, az acl.Authorizer, r *Register) (bool, error) {
	if err := s.mayRegister(az, r); err != nil {
		return false, err
	}
	if err := s.prepare(r); err != nil {
		return false, err
	}
	_, err := s.Log.Apply(ctx, r)
	return err == nil, err
}

// mayRegister asks for write access to the node, unless it stays as it is, and to all services and nodes that are
// concerned. What is not complete enough to ask about is refused by prepare.
func (s *Service) mayRegister(az acl.Authorizer, r *Register) error {
	tx := s.Log.DB().Read()
	old := FindNode(tx, r.Node)
	keeps := old != nil && (r.SkipNodeUpdate || s.complete(r.node()).same(old))
	if !keeps {
		if err := acl.Require(az, acl.Node, r.Node, acl.Write); err != nil {
			return err
		}
	}
	if r.Service != nil {
		if err := mayWriteService(tx, az, r.Node, r.Service); err != nil {
			return err
		}
	}
	for _, c := range append([]*Check{r.Check}, r.Checks...) {
		if c == nil {
			continue
		}
		if err := mayWriteCheck(tx, az, r, c); err != nil {
			return err
		}
	}
	return nil
}

// mayWriteService asks for write access to the service, and to the one whose instance is replaced.
func mayWriteService(tx *state.Tx, az acl.Authorizer, node string, i *Instance) error {
	id := i.ID
	if id == "" {
		id = i.Service
	}
	if err := acl.Require(az, acl.Service, i.Service, acl.Write); err != nil {
		return err
	}
	if old := FindInstance(tx, node, id); old != nil && old.Service != i.Service {
		return acl.Require(az, acl.Service, old.Service, acl.Write)
	}
	return nil
}

// mayWriteCheck asks for write access to the service that the check is of, else to the node.
func mayWriteCheck(tx *state.Tx, az acl.Authorizer, r *Register, c *Check) error {
	if c.ServiceID == "" {
		return acl.Require(az, acl.Node, r.Node, acl.Write)
	}
	if r.Service != nil && (c.ServiceID == r.Service.ID || c.ServiceID == r.Service.Service) {
		return nil // asked already
	}
	if of := FindInstance(tx, r.Node, c.ServiceID); of != nil {
		return acl.Require(az, acl.Service, of.Service, acl.Write)
	}
	return acl.Require(az, acl.Node, r.Node, acl.Write)
}

func (s *Service) complete(n *Node) *Node {
	if n.Datacenter == "" {
		n.Datacenter = s.Datacenter
	}
	return n
}

// Deregister removes a node, an instance or a check. Write access to the node allows it; so does that to the service
// for its instance and their checks.
func (s *Service) Deregister(ctx context.Context, az acl.Authorizer, d *Deregister) (bool, error) {
	if err := s.mayDeregister(az, d); err != nil {
		return false, err
	}
	switch {
	case d.PeerName != "":
		return false, errPeerDeregister
	case d.Node == "":
		return false, errMissingNode
	}
	_, err := s.Log.Apply(ctx, d)
	return err == nil, err
}

func (s *Service) mayDeregister(az acl.Authorizer, d *Deregister) error {
	if az.Allow(acl.Node, d.Node, acl.Write) {
		return nil
	}
	tx := s.Log.DB().Read()
	service := ""
	if d.ServiceID != "" {
		if i := FindInstance(tx, d.Node, d.ServiceID); i != nil {
			service = i.Service
		}
	} else if d.CheckID != "" {
		if c := FindCheck(tx, d.Node, d.CheckID); c != nil {
			service = c.ServiceName
		}
	}
	if service != "" {
		return acl.Require(az, acl.Service, service, acl.Write)
	}
	return acl.Require(az, acl.Node, d.Node, acl.Write)
}

// Texts of what a registration is refused for.
var (
	errMissingNode    = rpc.Errorf(rpc.Internal, "Must provide node")
	errMissingAddress = rpc.Errorf(rpc.Internal, "Must provide address if SkipNodeUpdate is not set")
	errMissingService = rpc.Errorf(rpc.Internal, "Must provide service name (Service.Service)")
	errNoCheckID      = rpc.Errorf(rpc.Internal, "failed inserting check: object missing primary index")
	errOnlyServiceID  = rpc.Errorf(rpc.Internal, "Must provide service name (Service.Service) when service ID is provided")
	errPeerDeregister = rpc.Errorf(rpc.Internal, "cannot deregister requests with PeerName in them")

	// ErrPeerName refuses what is registered in the name of another cluster: it would take the place of what is here.
	ErrPeerName = rpc.Errorf(rpc.Internal, "cannot register requests with PeerName in them")
)

// prepare validates a registration and fills in what it leaves out.
func (s *Service) prepare(r *Register) error {
	switch {
	case r.PeerName != "":
		return ErrPeerName
	case r.Node == "":
		return errMissingNode
	case r.Address == "" && !r.SkipNodeUpdate:
		return errMissingAddress
	}
	if err := ValidateNodeID(r.ID); err != nil {
		return rpc.Errorf(rpc.Internal, "Bad node ID: %v", err)
	}
	if r.Datacenter == "" {
		r.Datacenter = s.Datacenter
	}
	if r.Service != nil {
		if err := r.Service.Prepare(); err != nil {
			return err
		}
	}
	if r.Check != nil {
		r.Checks, r.Check = append(r.Checks, r.Check), nil
	}
	for _, c := range r.Checks {
		if err := c.Prepare(r.Node); err != nil {
			return err
		}
	}
	return printable(r.Node, r.ID)
}

// Prepare validates an instance that is to be registered and fills in what it leaves out.
func (i *Instance) Prepare() error {
	switch {
	case i.PeerName != "":
		return ErrPeerName
	case i.Service == "" && i.ID == "":
		return errMissingService
	case i.Service == "":
		return errOnlyServiceID
	case i.ID == "":
		i.ID = i.Service
	}
	if err := i.validate(); err != nil {
		return rpc.Errorf(rpc.Internal, "%v", err)
	}
	if i.Weights == nil {
		i.Weights = &Weights{Passing: 1, Warning: 1}
	}
	return printable(i.ID, i.Service, i.Kind, i.Address, i.Proxy.DestinationServiceName)
}

// Prepare validates a check that is to be registered on a node and fills in what it leaves out.
func (c *Check) Prepare(node string) error {
	if c == nil {
		return rpc.Errorf(rpc.Invalid, "A check may not be null")
	}
	if c.CheckID == "" {
		c.CheckID = c.Name
	}
	if c.CheckID == "" {
		return errNoCheckID // nothing could remove it
	}
	if c.PeerName != "" {
		return ErrPeerName
	}
	if c.Node == "" {
		c.Node = node
	}
	if !strings.EqualFold(c.Node, node) {
		return rpc.Errorf(rpc.Internal, "Node '%s' for check '%s' doesn't match register request node '%s'", c.Node, c.CheckID, node)
	}
	if c.Status == "" {
		c.Status = Critical
	}
	if c.Type == "" {
		c.Type = c.Definition.kind()
	}
	return printable(c.CheckID, c.ServiceID, c.Status)
}

// kind is the type of check that the target tells of.
func (t *CheckTarget) kind() string {
	d := CheckDefinition{HTTP: t.HTTP, TCP: t.TCP, UDP: t.UDP, H2PING: t.H2PING, OSService: t.OSService, ScriptArgs: t.ScriptArgs,
		DockerContainerID: t.DockerContainerID, GRPC: t.GRPC, AliasNode: t.AliasNode, AliasService: t.AliasService, TTL: t.TTL}
	return d.Type()
}

// printable refuses names that no key can be made of.
func printable(names ...string) error {
	for _, n := range names {
		if strings.Contains(n, "\x00") {
			return rpc.Errorf(rpc.Invalid, "A name may not contain a NUL character: %q", n)
		}
	}
	return nil
}

// ValidateNodeID tells what is wrong with a node's identifier. It is a UUID, or "".
func ValidateNodeID(id string) error {
	if id == "" {
		return nil
	}
	if len(id) != 36 {
		return fmt.Errorf("uuid string is wrong length")
	}
	for i, c := range []byte(id) {
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		hex := c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
		if hyphen != (c == '-') || !hyphen && !hex {
			return fmt.Errorf("uuid is improperly formatted")
		}
	}
	return nil
}
