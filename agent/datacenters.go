package agent

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"lictor/coordinate"
	"lictor/gossip"
)

// datacenters tells where the servers of each datacenter are in the space of the WAN.
func (a *Agent) datacenters() []coordinate.Datacenter {
	byName := map[string]*coordinate.Datacenter{}
	var names []string
	if a.wan == nil {
		return nil
	}
	for _, m := range a.wan.Members() {
		if !m.Ours || m.Status == gossip.StatusLeft {
			continue
		}
		dc := byName[m.Meta.Datacenter]
		if dc == nil {
			dc = &coordinate.Datacenter{Datacenter: m.Meta.Datacenter, AreaID: "wan"}
			byName[m.Meta.Datacenter], names = dc, append(names, m.Meta.Datacenter)
		}
		if place, ok := a.wan.CachedCoordinate(m.Name); ok {
			name := strings.TrimSuffix(m.Name, "."+m.Meta.Datacenter)
			c := coordinate.Coordinate(place)
			dc.Coordinates = append(dc.Coordinates, coordinate.Entry{Node: name, Coord: &c})
		}
	}
	slices.Sort(names)
	var all []coordinate.Datacenter
	for _, name := range names {
		all = append(all, *byName[name])
	}
	return all
}

// datacenterNames lists the datacenters by the median of the round-trip times to their servers, as far as they are known, and
// then by name. That of this agent is the nearest.
func (a *Agent) datacenterNames() []string {
	type known struct {
		name     string
		far      bool // it is not known how far
		distance time.Duration
	}
	own := a.cfg.Node.Datacenter
	all := []known{{name: own}}
	for _, dc := range a.datacenters() {
		if dc.Datacenter == own {
			continue
		}
		var times []time.Duration
		for i := range dc.Coordinates {
			times = append(times, a.wanDistance(dc.Coordinates[i].Node+"."+dc.Datacenter))
		}
		slices.Sort(times)
		k := known{name: dc.Datacenter, far: len(times) == 0}
		if !k.far {
			k.distance = max(times[len(times)/2], 1)
		}
		all = append(all, k)
	}
	slices.SortFunc(all, func(x, y known) int {
		if x.far != y.far {
			return map[bool]int{true: 1, false: -1}[x.far]
		}
		return cmp.Or(cmp.Compare(x.distance, y.distance), strings.Compare(x.name, y.name))
	})
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].name
	}
	return names
}
