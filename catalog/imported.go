package catalog

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"lictor/consulsnap"
	"lictor/state"
)

// Import takes over a node, an instance or a check as Consul has saved it: the request that would register it. Services
// of other clusters are left out.
func Import(tx *state.Tx, f consulsnap.Fields) error {
	if f.String("PeerName") != "" {
		return consulsnap.ErrNotSupported
	}
	name := f.String("Node")
	if name == "" {
		return fmt.Errorf("%w: a node without a name", consulsnap.ErrDamaged)
	}
	service, check := f.Struct("Service"), f.Struct("Check")
	switch {
	case service != nil && !HasNode(tx, name), check != nil && !HasNode(tx, name):
		return fmt.Errorf("%w: a service or check on node %q, which is not there", consulsnap.ErrDamaged, name)
	case service != nil:
		return importInstance(tx, name, service)
	case check != nil:
		return importCheck(tx, name, check)
	}
	f["Meta"] = f["NodeMeta"]
	n := &Node{}
	if err := f.Into(n); err != nil {
		return err
	}
	nodes.Insert(tx, n)
	touch(tx, nodeIndex, n.Node)
	return nil
}

func importInstance(tx *state.Tx, node string, f consulsnap.Fields) error {
	if connect := f.Struct("Connect"); connect != nil {
		delete(connect, "SidecarService") // which nothing comes of in the catalog
	}
	if proxy := f.Struct("Proxy"); proxy != nil {
		if own := proxy.Struct("TransparentProxy"); own.Uint("OutboundListenerPort") == 0 && !own.Bool("DialedDirectly") {
			delete(proxy, "TransparentProxy")
		}
	}
	i := &Instance{}
	if err := f.Into(i); err != nil {
		return err
	}
	if i.ID == "" || i.Service == "" {
		return fmt.Errorf("%w: a service without a name on node %q", consulsnap.ErrDamaged, node)
	}
	row := *PutInstance(tx, node, i)
	row.CreateIndex, row.ModifyIndex = i.CreateIndex, i.ModifyIndex
	instances.Insert(tx, &row)
	return nil
}

func importCheck(tx *state.Tx, node string, f consulsnap.Fields) error {
	c := &Check{}
	if err := f.Into(c); err != nil {
		return err
	}
	if c.CheckID == "" {
		return fmt.Errorf("%w: a check without a name on node %q", consulsnap.ErrDamaged, node)
	}
	if err := c.RequireService(tx, node); err != nil {
		return fmt.Errorf("%w: %w", consulsnap.ErrDamaged, err)
	}
	row := *PutCheck(tx, node, c)
	row.CreateIndex, row.ModifyIndex = c.CreateIndex, c.ModifyIndex
	checks.Insert(tx, &row)
	return nil
}

// ImportVirtual takes over the address of a service in the mesh.
func ImportVirtual(tx *state.Tx, f consulsnap.Fields) error {
	of := f.Struct("Service")
	number, err := offset(f)
	if err != nil {
		return err
	}
	if of.String("Peer") != "" {
		return consulsnap.ErrNotSupported
	}
	v := &Virtual{Service: of.Struct("ServiceName").String("Name"), Number: number}
	if v.Service == "" {
		return fmt.Errorf("%w: a virtual address without a service", consulsnap.ErrDamaged)
	}
	virtuals.Insert(tx, v)
	return nil
}

// ImportSpare takes over an address that no service has any more. The highest one ever given is another row, which
// tells us nothing.
func ImportSpare(tx *state.Tx, f consulsnap.Fields) error {
	number, err := offset(f)
	if err == nil && !f.Bool("IsCounter") {
		spares.Insert(tx, &Spare{number})
	}
	return err
}

// offset is how far a virtual address is from the first one, as rows have it.
func offset(f consulsnap.Fields) (uint32, error) {
	ip, ok := netip.AddrFromSlice([]byte(f.String("IP")))
	if ip = ip.Unmap(); !ok || !ip.Is4() {
		return 0, fmt.Errorf("%w: a virtual address of %d bytes", consulsnap.ErrDamaged, len(f.String("IP")))
	}
	b := ip.As4()
	n := binary.BigEndian.Uint32(b[:])
	if n == 0 || n > lastVirtual {
		return 0, fmt.Errorf("%w: the virtual address %s is out of range", consulsnap.ErrDamaged, ip)
	}
	return n, nil
}
