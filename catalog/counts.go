package catalog

import (
	"strings"

	"lictor/state"
	"lictor/telemetry"
)

// Lookups count who asks for the instances of services, by the service's name. Names that are asked for are anybody's
// choice: the registry bounds how many there are.
type Lookups struct{ service, connect lookups }

type lookups struct{ all, tag, tags, missing *telemetry.Counters }

// NewLookups names what is counted.
func NewLookups(r *telemetry.Registry) *Lookups {
	return &Lookups{newLookups(r, "catalog.service"), newLookups(r, "catalog.connect")}
}

func newLookups(r *telemetry.Registry, of string) lookups {
	return lookups{all: r.Counters(of+".query", "service"), tag: r.Counters(of+".query-tag", "service", "tag"),
		tags: r.Counters(of+".query-tags", "service", "tags"), missing: r.Counters(of+".not-found", "service")}
}

// Count counts one answer to ServiceNodesQuery.
func (c *Lookups) Count(q ServiceNodes, answer Listing[*ServiceNode]) {
	l := &c.service
	if q.Connect {
		l = &c.connect
	}
	name := strings.ToValidUTF8(q.Service, "\ufffd") // as labels must be
	l.all.With(name).Inc()
	if q.Tags != "" {
		tags := List(strings.ToValidUTF8(string(q.Tags), "\ufffd")).Items()
		l.tags.With(name, strings.Join(tags, ",")).Inc()
		if len(tags) == 1 {
			l.tag.With(name, tags[0]).Inc()
		}
	}
	if len(answer.Rows) == 0 {
		l.missing.With(name).Inc()
	}
}

// Changed is the log index at which a node or an instance last changed.
func Changed(tx *state.Tx) uint64 { return tx.Changed(nodes.Name(), instances.Name()) }

// ServiceNames lists the services that are neither gateways nor proxies, in order and without the servers' own, and the
// index at which an instance last changed.
func ServiceNames(tx *state.Tx) ([]string, uint64) {
	index := tx.Changed(instances.Name())
	var names []string
	last := ""
	for i := range instances.Prefix(tx.Unwatched(), "service", "") {
		folded := strings.ToLower(i.Service)
		if i.Kind == "" && folded != last && folded != "consul" {
			names, last = append(names, i.Service), folded
		}
	}
	return names, index
}
