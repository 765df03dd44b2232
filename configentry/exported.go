package configentry

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"lictor/acl"
	"lictor/catalog"
	"lictor/rpc"
	"lictor/state"
)

//msgp:ignore exports
//go:generate go tool msgp -o exported_gen.go -tests=false -io=false

// ExportedQuery asks which services other clusters may call. Who asks must be allowed to read the mesh.
var ExportedQuery = rpc.Query[Exported, []*Export]{Name: "ConfigEntry.Exported"}

// Exported asks for the services that exported-services names, by name; a wildcard there stands for all of the catalog.
// Filter may speak of Service and Consumers.Peers.
type Exported struct{ Filter string }

// An Export is a service, with the clusters that may call it.
type Export struct {
	Service   string
	Consumers Consumers
}

// Consumers are clusters, in order.
type Consumers struct {
	Peers []string `json:",omitempty" msg:"Peers,allownil"`
}

// Exported answers ExportedQuery. The answer is not nil.
func (s *Service) Exported(tx *state.Tx, az acl.Authorizer, q *Exported) ([]*Export, uint64, error) {
	if err := acl.Require(az, acl.Mesh, "", acl.Read); err != nil {
		return nil, 0, err
	}
	filter, err := catalog.NewFilter[*Export](q.Filter)
	if err != nil {
		return nil, 0, err
	}
	index := tx.Changed(kindIndex + ExportedServices)
	found := exports{}
	if e := content[Exports](&sight{tx: tx.Unwatched()}, ExportedServices, defaultName); e != nil {
		for _, service := range e.Services {
			names := []string{service.Name}
			if service.Name == wildcard {
				var at uint64
				names, at = catalog.ServiceNames(tx)
				index = max(index, at)
			}
			found.add(names, service.Consumers)
		}
	}
	rows, err := filter.Rows(found.rows())
	if rows == nil {
		rows = []*Export{}
	}
	return rows, index, err
}

// exports are services by their names in lower case.
type exports map[string]*Export

func (x exports) add(names []string, consumers []Consumer) {
	for _, name := range names {
		for _, c := range consumers {
			if c.Peer == "" {
				continue
			}
			e := x[strings.ToLower(name)]
			if e == nil {
				e = &Export{Service: name}
				x[strings.ToLower(name)] = e
			}
			if !slices.Contains(e.Consumers.Peers, c.Peer) {
				e.Consumers.Peers = append(e.Consumers.Peers, c.Peer)
			}
		}
	}
}

func (x exports) rows() []*Export {
	rows := slices.SortedFunc(maps.Values(x), func(a, b *Export) int { return cmp.Compare(a.Service, b.Service) })
	for _, e := range rows {
		slices.Sort(e.Consumers.Peers)
	}
	return rows
}
