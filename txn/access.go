package txn

import (
	"strings"

	"lictor/acl"
	"lictor/catalog"
	"lictor/kv"
	"lictor/rpc"
	"lictor/session"
)

// inspect validates every operation, fills in what it leaves out and asks for the access that the same operation needs
// when it comes alone. It tells of each that is refused.
func (s *Service) inspect(az acl.Authorizer, ops Ops) []OpError {
	var refused []OpError
	set := registered(ops)
	for i := range ops {
		err := s.prepare(&ops[i])
		if err == nil {
			err = s.mayDo(az, &ops[i], set)
		}
		if err != nil {
			refused = append(refused, OpError{i, err.Error()})
		}
	}
	return refused
}

// What operations are refused for.
var (
	errMissingKey     = rpc.Errorf(rpc.Invalid, "Must provide key")
	errNodeNotGiven   = rpc.Errorf(rpc.Invalid, "Must provide node")
	errSessionMissing = rpc.Errorf(rpc.Invalid, "Must provide session")
)

// prepare validates an operation and fills in what it leaves out.
func (s *Service) prepare(op *Op) error {
	switch {
	case op.KV != nil:
		return op.KV.prepare()
	case op.Node != nil:
		return s.prepareNode(op.Node)
	case op.Service != nil:
		return op.Service.prepare()
	case op.Check != nil:
		return op.Check.prepare()
	case op.Session != nil:
		return op.Session.prepare()
	}
	return nil
}

func (op *KVOp) prepare() error {
	if op.Key == "" {
		return errMissingKey
	}
	if err := kv.CheckTTL(op.TTL); err != nil {
		return err
	}
	switch op.Verb {
	case Set, CAS, Lock, Unlock, Get, GetOrEmpty, GetTree, CheckIndex, CheckSession, CheckNotExists, Delete, DeleteTree, DeleteCAS:
		return nil
	}
	return rpc.Errorf(rpc.Invalid, "unknown KV operation: %s", op.Verb)
}

// catalogVerb refuses verbs that nodes, services and checks do not have.
func catalogVerb(kind, verb string) error {
	switch verb {
	case Set, CAS, Get, Delete, DeleteCAS:
		return nil
	}
	return rpc.Errorf(rpc.Invalid, "unknown %s operation: %s", kind, verb)
}

func (s *Service) prepareNode(op *NodeOp) error {
	n := &op.Node
	if n.Node == "" {
		return errNodeNotGiven
	}
	if err := catalog.ValidateNodeID(n.ID); err != nil {
		return rpc.Errorf(rpc.Invalid, "Bad node ID: %v", err)
	}
	if n.PeerName != "" {
		return catalog.ErrPeerName
	}
	if n.Datacenter == "" {
		n.Datacenter = s.Catalog.Datacenter
	}
	if err := printable(n.Node, n.ID); err != nil {
		return err
	}
	return catalogVerb("node", op.Verb)
}

func (op *ServiceOp) prepare() error {
	if err := catalogVerb("service", op.Verb); err != nil {
		return err
	}
	if w := op.Service.Weights; w != nil && *w == (catalog.Weights{}) {
		op.Service.Weights = nil // as Consul's client sends what it does not set
	}
	if op.Verb != Get {
		if err := op.Service.Prepare(); err != nil {
			return err
		}
	}
	return printable(op.Node, op.Service.ID)
}

func (op *CheckOp) prepare() error {
	if err := catalogVerb("check", op.Verb); err != nil {
		return err
	}
	if op.Verb == Set || op.Verb == CAS {
		if err := op.Check.Prepare(op.Check.Node); err != nil {
			return err
		}
	}
	return printable(op.Check.Node, op.Check.CheckID)
}

func (op *SessionOp) prepare() error {
	if op.Verb != Delete {
		return rpc.Errorf(rpc.Invalid, "unknown session operation: %s", op.Verb)
	}
	if op.Session.ID == "" {
		return errSessionMissing
	}
	return nil
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

// An instanceName names an instance without regard to case.
type instanceName struct{ node, id string }

func nameOf(node, id string) instanceName {
	return instanceName{strings.ToLower(node), strings.ToLower(id)}
}

// registered finds the instances that a transaction writes, for checks of them in the same transaction. It is nil if
// there are no checks.
func registered(ops Ops) map[instanceName]*catalog.Instance {
	var set map[instanceName]*catalog.Instance
	for i := range ops {
		if ops[i].Check != nil {
			set = map[instanceName]*catalog.Instance{}
			break
		}
	}
	for i := range ops {
		if op := ops[i].Service; set != nil && op != nil && (op.Verb == Set || op.Verb == CAS) {
			set[nameOf(op.Node, op.Service.ID)] = &op.Service
		}
	}
	return set
}

// mayDo asks for the access that an operation needs.
func (s *Service) mayDo(az acl.Authorizer, op *Op, set map[instanceName]*catalog.Instance) error {
	switch {
	case op.KV != nil:
		return op.KV.may(az)
	case op.Node != nil:
		return s.mayNode(az, op.Node)
	case op.Service != nil:
		return s.mayService(az, op.Service)
	case op.Check != nil:
		return s.mayCheck(az, op.Check, set)
	case op.Session != nil:
		if old := session.Find(s.Log.DB().Read().Unwatched(), op.Session.Session.ID); old != nil {
			return acl.Require(az, acl.Session, old.Node, acl.Write)
		}
	}
	return nil
}

func (op *KVOp) may(az acl.Authorizer) error {
	switch op.Verb {
	case GetTree: // what may not be seen is left out
		return nil
	case Get, GetOrEmpty, CheckIndex, CheckSession, CheckNotExists:
		return acl.Require(az, acl.Key, op.Key, acl.Read)
	case DeleteTree:
		return acl.Require(az, acl.Key, op.Key, acl.WritePrefix)
	}
	return acl.Require(az, acl.Key, op.Key, acl.Write)
}

func (s *Service) mayNode(az acl.Authorizer, op *NodeOp) error {
	n := &op.Node
	switch op.Verb {
	case Get:
		return acl.Require(az, acl.Node, n.Node, acl.Read)
	case Set, CAS:
		return s.Catalog.MayRegister(az, &catalog.Register{ID: n.ID, Node: n.Node, Address: n.Address, Datacenter: n.Datacenter,
			TaggedAddresses: n.TaggedAddresses, NodeMeta: n.Meta, PeerName: n.PeerName})
	}
	return s.Catalog.MayDeregister(az, &catalog.Deregister{Node: n.Node})
}

func (s *Service) mayService(az acl.Authorizer, op *ServiceOp) error {
	switch op.Verb {
	case Get:
		old := catalog.FindInstance(s.Log.DB().Read().Unwatched(), op.Node, op.Service.ID)
		if old == nil {
			return acl.Require(az, acl.Node, op.Node, acl.Read)
		}
		return acl.Require(az, acl.Service, old.Service, acl.Read)
	case Set, CAS:
		return s.Catalog.MayRegister(az, s.onNode(op.Node, &op.Service))
	}
	return s.Catalog.MayDeregister(az, &catalog.Deregister{Node: op.Node, ServiceID: op.Service.ID})
}

func (s *Service) mayCheck(az acl.Authorizer, op *CheckOp, set map[instanceName]*catalog.Instance) error {
	c := &op.Check
	switch op.Verb {
	case Get:
		old := catalog.FindCheck(s.Log.DB().Read().Unwatched(), c.Node, c.CheckID)
		if old == nil || old.ServiceName == "" {
			return acl.Require(az, acl.Node, c.Node, acl.Read)
		}
		return acl.Require(az, acl.Service, old.ServiceName, acl.Read)
	case Set, CAS:
		r := s.onNode(c.Node, nil)
		if c.ServiceID != "" {
			r.Service = set[nameOf(c.Node, c.ServiceID)]
		}
		r.Checks = []*catalog.Check{c}
		return s.Catalog.MayRegister(az, r)
	}
	return s.Catalog.MayDeregister(az, &catalog.Deregister{Node: c.Node, CheckID: c.CheckID})
}
