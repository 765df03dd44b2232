package httpapi

import (
	"cmp"
	"net/http"
	"slices"

	"lictor/catalog"
)

// elsewhere tells whether a request is about another datacenter and wants WAN addresses.
func (s *Server) elsewhere(r *http.Request) bool {
	if !s.TranslateWAN || r.URL.RawQuery == "" {
		return false
	}
	dc := parameters(r).Get("dc")
	return dc != "" && dc != s.Datacenter
}

// translated is an answer with the WAN addresses of nodes and services where they have any, if it shows addresses. The answer
// itself is shared and stays as it is.
func translated(answer any) (any, bool) {
	switch a := answer.(type) {
	case catalog.Listing[*catalog.Node]:
		a.Rows = each(a.Rows, wanNode)
		return a, true
	case catalog.Listing[*catalog.ServiceNode]:
		a.Rows = each(a.Rows, wanServiceNode)
		return a, true
	case catalog.Listing[*catalog.Entry]:
		a.Rows = each(a.Rows, func(e *catalog.Entry) *catalog.Entry {
			return &catalog.Entry{Node: wanNode(e.Node), Service: wanInstance(e.Service), Checks: e.Checks}
		})
		return a, true
	case *catalog.NodeServices:
		if a == nil {
			return a, false
		}
		out := &catalog.NodeServices{Node: wanNode(a.Node), Services: map[string]*catalog.Instance{}, Filtered: a.Filtered}
		for id, i := range a.Services {
			out.Services[id] = wanInstance(i)
		}
		return out, true
	case *catalog.NodeServiceList:
		if a == nil {
			return a, false
		}
		return &catalog.NodeServiceList{Node: wanNode(a.Node), Services: each(a.Services, wanInstance), Filtered: a.Filtered}, true
	}
	return nil, false
}

func each[T any](rows []T, change func(T) T) []T {
	out := slices.Clone(rows)
	for i := range out {
		out[i] = change(out[i])
	}
	return out
}

func wanNode(n *catalog.Node) *catalog.Node {
	if n == nil {
		return nil
	}
	out := *n
	out.Address = cmp.Or(n.TaggedAddresses["wan"], n.Address)
	return &out
}

func wanInstance(i *catalog.Instance) *catalog.Instance {
	if i == nil {
		return nil
	}
	out := *i
	if at, ok := i.TaggedAddresses["wan"]; ok {
		out.Address, out.Port = cmp.Or(at.Address, i.Address), cmp.Or(at.Port, i.Port)
	}
	return &out
}

func wanServiceNode(s *catalog.ServiceNode) *catalog.ServiceNode {
	out := *s
	out.Address = cmp.Or(s.TaggedAddresses["wan"], s.Address)
	if at, ok := s.ServiceTaggedAddresses["wan"]; ok {
		out.ServiceAddress, out.ServicePort = cmp.Or(at.Address, s.ServiceAddress), cmp.Or(at.Port, s.ServicePort)
	}
	return &out
}
