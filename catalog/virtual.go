package catalog

import (
	"fmt"
	"maps"
	"net/netip"

	"lictor/state"
)

//go:generate go tool msgp -o virtual_gen.go -tests=false -io=false

// A Virtual is the address that stands for a service in the mesh: 240.0.0.0 plus Number.
type Virtual struct {
	Service string
	Number  uint32
}

// A Spare is a number that no service has any more.
type Spare struct{ Number uint32 }

var (
	virtuals = state.NewTable("virtual-ips", func(v *Virtual) string { return fold(v.Service) },
		state.Index[Virtual]{Name: "number", Keys: state.One(func(v *Virtual) string { return numeral(v.Number) })})
	spares = state.NewTable("free-virtual-ips", func(s *Spare) string { return numeral(s.Number) })
)

func numeral(n uint32) string { return fmt.Sprintf("%08x\x00", n) }

// virtualTag is the name under which an instance carries the address of the service it is a way into.
const virtualTag = "consul-virtual"

// lastVirtual keeps the numbers inside 240.0.0.0/4.
const lastVirtual = 1<<28 - 2

// Address is the service's address.
func (v *Virtual) Address() string {
	n := 240<<24 | v.Number
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}).String()
}

// assign gives a service an address, the lowest that is free, unless it has one. It gives nil if all are taken.
func assign(tx *state.Tx, service string) *Virtual {
	if v := virtuals.Get(tx, fold(service)); v != nil {
		return v
	}
	v := &Virtual{Service: service, Number: 1}
	if s := lowestSpare(tx); s != nil {
		v.Number = s.Number
		spares.Delete(tx, s)
	} else if last := virtuals.Last(tx, "number"); last != nil {
		v.Number = last.Number + 1
	}
	if v.Number > lastVirtual {
		return nil
	}
	virtuals.Insert(tx, v)
	return v
}

func lowestSpare(tx *state.Tx) *Spare {
	for s := range spares.All(tx) {
		return s
	}
	return nil
}

// unassign takes a service's address back once neither it nor a way into it is left.
func unassign(tx *state.Tx, service string) {
	v := virtuals.Get(tx, fold(service))
	if v == nil || instances.First(tx, "service", fold(service)) != nil || instances.First(tx, "connect", fold(service)) != nil {
		return
	}
	virtuals.Delete(tx, v)
	spares.Insert(tx, &Spare{v.Number})
}

// withVirtual adds to the tagged addresses of an instance the address of the service that it is a way into.
func withVirtual(tx *state.Tx, i *Instance) {
	service := i.destination()
	if service == "" {
		return
	}
	v := assign(tx, service)
	if v == nil {
		return
	}
	tagged := maps.Clone(i.TaggedAddresses)
	if tagged == nil {
		tagged = map[string]ServiceAddress{}
	}
	tagged[virtualTag] = ServiceAddress{Address: v.Address(), Port: i.Port}
	i.TaggedAddresses = tagged
}
