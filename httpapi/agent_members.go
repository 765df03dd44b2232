package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"lictor/acl"
	"lictor/catalog"
)

// A Member is an agent in a gossip pool, as clients see it.
type Member struct {
	Name        string
	Addr        string
	Port        uint16
	Tags        map[string]string
	Status      int // 1 alive, 2 leaving, 3 left, 4 failed
	ProtocolMin uint8
	ProtocolMax uint8
	ProtocolCur uint8
	DelegateMin uint8
	DelegateMax uint8
	DelegateCur uint8
}

// Pools are the gossip pools of this agent.
type Pools interface {
	// Members lists the LAN pool or the WAN pool, which only servers have.
	Members(wan bool) []Member
	// Join contacts a member at an address.
	Join(ctx context.Context, address string, wan bool) error
	// ForceLeave declares a failed member to have left, and with prune forgets it.
	ForceLeave(ctx context.Context, node string, wan, prune bool) error
}

// agentMembers answers GET /v1/agent/members, with ?wan, ?segment and ?filter.
func (s *Server) agentMembers(w http.ResponseWriter, r *http.Request) (any, error) {
	q := parameters(r)
	if segment := q.Get("segment"); segment != "" && segment != "_all" {
		return nil, &statusError{http.StatusInternalServerError, "Network segments are not supported in this version of Consul"}
	}
	az, err := s.authorizer(r)
	if err != nil {
		return nil, err
	}
	filtered := false
	all := slices.DeleteFunc(s.Pools.Members(q.Get("wan") != ""), func(m Member) bool {
		hidden := !az.Allow(acl.Node, m.Name, acl.Read)
		filtered = filtered || hidden
		return hidden
	})
	if filtered {
		markFiltered(w, r)
	}
	filter, err := catalog.NewFilter[Member](q.Get("filter"))
	if err != nil {
		return nil, err
	}
	kept := []Member{}
	for _, m := range all {
		match, err := filter.Keep(m)
		if err != nil {
			return nil, err
		}
		if match {
			kept = append(kept, m)
		}
	}
	return kept, nil
}

// agentJoin answers PUT /v1/agent/join/ADDRESS, with ?wan.
func (s *Server) agentJoin(w http.ResponseWriter, r *http.Request) (any, error) {
	address := strings.TrimPrefix(r.URL.Path, "/v1/agent/join/")
	if err := s.require(r, acl.Agent, s.Node, acl.Write); err != nil {
		return nil, err
	}
	if address == "" {
		return nil, badRequest("Missing address to join")
	}
	return done(w, s.Pools.Join(r.Context(), address, parameters(r).Get("wan") == "1"))
}

// agentForceLeave answers PUT /v1/agent/force-leave/NODE, with ?prune and ?wan.
func (s *Server) agentForceLeave(w http.ResponseWriter, r *http.Request) (any, error) {
	node := strings.TrimPrefix(r.URL.Path, "/v1/agent/force-leave/")
	if err := s.require(r, acl.Operator, "", acl.Write); err != nil {
		return nil, err
	}
	if node == "" {
		return nil, badRequest("Missing name of the node")
	}
	q := parameters(r)
	return done(w, s.Pools.ForceLeave(r.Context(), node, q.Has("wan"), q.Has("prune")))
}
