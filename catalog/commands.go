package catalog

import (
	"fmt"

	"lictor/state"
)

//go:generate go tool msgp -o commands_gen.go -tests=false -io=false

// A Register writes a node and, on it, a service and checks, all in one: the body of /v1/catalog/register. With
// SkipNodeUpdate a node that is there already stays as it is.
type Register struct {
	Datacenter      string
	ID              string
	Node            string
	Address         string
	TaggedAddresses map[string]string `msg:"TaggedAddresses,allownil"`
	NodeMeta        map[string]string `msg:"NodeMeta,allownil"`
	Service         *Instance
	Check           *Check
	Checks          []*Check `msg:"Checks,allownil"`
	SkipNodeUpdate  bool
	PeerName        string
	Locality        *Locality
}

// node is the row that the command asks for.
func (r *Register) node() *Node {
	return &Node{ID: r.ID, Node: r.Node, Address: r.Address, Datacenter: r.Datacenter,
		TaggedAddresses: r.TaggedAddresses, Meta: r.NodeMeta, PeerName: r.PeerName, Locality: r.Locality}
}

// Apply answers nothing. It fails, and has changed nothing, if the node's name is taken or a check's service is
// neither there nor in the command.
func (r *Register) Apply(tx *state.Tx) (any, error) {
	if err := r.check(tx); err != nil {
		return nil, err
	}
	node := FindNode(tx, r.Node)
	if node == nil || !r.SkipNodeUpdate {
		var err error
		if node, err = PutNode(tx, r.node()); err != nil {
			return nil, fmt.Errorf("failed inserting node: %w", err)
		}
	}
	if r.Service != nil {
		PutInstance(tx, node.Node, r.Service)
	}
	for _, c := range r.Checks {
		PutCheck(tx, node.Node, c)
	}
	return nil, nil
}

// check tells why the command cannot be carried out.
func (r *Register) check(tx *state.Tx) error {
	if !r.SkipNodeUpdate {
		if err := r.node().claim(tx); err != nil {
			return fmt.Errorf("failed inserting node: %w", err)
		}
	}
	for _, c := range r.Checks {
		if c.ServiceID == "" || r.Service != nil && fold(r.Service.ID) == fold(c.ServiceID) {
			continue
		}
		if err := c.RequireService(tx, r.Node); err != nil {
			return err
		}
	}
	return nil
}

// A Deregister removes one instance, or one check, or a whole node: the body of /v1/catalog/deregister.
type Deregister struct {
	Datacenter string
	Node       string
	Address    string // accepted and not used
	ServiceID  string
	CheckID    string
	PeerName   string
}

// Apply answers nothing. What is not there is gone already.
func (d *Deregister) Apply(tx *state.Tx) (any, error) {
	switch {
	case d.ServiceID != "":
		RemoveInstance(tx, d.Node, d.ServiceID)
	case d.CheckID != "":
		RemoveCheck(tx, d.Node, d.CheckID)
	default:
		RemoveNode(tx, d.Node)
	}
	return nil, nil
}
