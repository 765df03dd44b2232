package local

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"time"

	"lictor/catalog"
)

// A Source says where a registration came from.
type Source string

// The sources. What came over HTTP is kept in the data directory; what came from a file lives as long as its
// definition stands there.
const (
	API  Source = "remote"
	File Source = "local"
)

// An entry is what services and checks have in common.
type entry struct {
	token    string // secret it was registered with; "" means the agent's default
	source   Source
	revision uint64 // grows with each change, so that a write of an older state does not pass for the newest
	gone     bool   // deregistered here, perhaps not yet in the catalog
	stranger bool   // found in the catalog, never registered here
}

// A service is one registration. Its row is replaced, never changed, so that readers may keep it.
type service struct {
	entry
	def     *catalog.ServiceDefinition
	row     *catalog.Instance
	checks  map[string]*check
	parent  string        // the service whose sidecar it is
	changed chan struct{} // closed when the service changes or goes
}

// A check is one registration. Its row is replaced, never changed, so that readers may keep it.
type check struct {
	entry
	def      *catalog.CheckDefinition
	row      *catalog.Check
	alone    bool        // it is not part of its service's definition
	deferral *time.Timer // set while a change of output waits to be written
}

// A kind tells services and checks apart.
type kind uint8

const (
	aService kind = iota
	aCheck
)

// A key names an entry.
type key struct {
	kind kind
	id   string
}

// sameInstance tells whether the catalog has what it should have. Tags do not count where others may set them.
func sameInstance(mine, theirs *catalog.Instance) bool {
	return mine.Kind == theirs.Kind && mine.Service == theirs.Service &&
		mine.Address == theirs.Address && mine.Port == theirs.Port && mine.SocketPath == theirs.SocketPath &&
		mine.EnableTagOverride == theirs.EnableTagOverride && mine.Connect == theirs.Connect &&
		(mine.EnableTagOverride || slices.Equal(mine.Tags, theirs.Tags)) &&
		maps.Equal(mine.Meta, theirs.Meta) &&
		maps.Equal(mine.TaggedAddresses, withoutVirtual(mine, theirs)) &&
		equal(mine.Weights, theirs.Weights) && equal(mine.Locality, theirs.Locality) &&
		sameProxy(&mine.Proxy, &theirs.Proxy)
}

// virtualAddress is the tagged address that servers give to mesh services.
const virtualAddress = "consul-virtual"

func withoutVirtual(mine, theirs *catalog.Instance) map[string]catalog.ServiceAddress {
	_, added := theirs.TaggedAddresses[virtualAddress]
	if _, own := mine.TaggedAddresses[virtualAddress]; !added || own {
		return theirs.TaggedAddresses
	}
	rest := maps.Clone(theirs.TaggedAddresses)
	delete(rest, virtualAddress)
	return rest
}

func equal[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// sameCheck tells whether the catalog has what it should have, apart from the output.
func sameCheck(mine, theirs *catalog.Check) bool {
	return mine.Name == theirs.Name && mine.Status == theirs.Status && mine.Notes == theirs.Notes &&
		mine.ServiceID == theirs.ServiceID && mine.Type == theirs.Type && mine.Interval == theirs.Interval &&
		mine.Timeout == theirs.Timeout && mine.ExposedPort == theirs.ExposedPort
}

// sameNode tells whether the catalog knows this node as it is.
func sameNode(mine, theirs *catalog.Node) bool {
	return theirs != nil && mine.ID == theirs.ID && mine.Address == theirs.Address &&
		maps.Equal(mine.TaggedAddresses, theirs.TaggedAddresses) && maps.Equal(mine.Meta, theirs.Meta) &&
		reflect.DeepEqual(mine.Locality, theirs.Locality)
}

// sameProxy compares by the encoding if need be: numbers change their types on the way through the catalog.
func sameProxy(mine, theirs *catalog.Proxy) bool {
	if reflect.DeepEqual(mine, theirs) {
		return true
	}
	a, errA := json.Marshal(mine)
	b, errB := json.Marshal(theirs)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}
