package agent

import (
	"context"
	"fmt"
	"net"
	"time"

	"lictor/acl"
	"lictor/catalog"
	"lictor/coordinate"
	"lictor/kv"
	"lictor/raftstore"
	"lictor/rpc"
	"lictor/state"
	"lictor/view"
)

// A server is what an agent in server mode adds: its part of the replicated state and what answers from it.
type server struct {
	node     *raftstore.Node
	registry rpc.Registry[acl.Authorizer]
	views    *view.Views
	resolve  func(ctx context.Context, token string) (acl.Authorizer, error)
	dc       string
}

// newServices makes what answers from a log.
func newServices(log state.Log, node *raftstore.Node, dc string) *services {
	return &services{
		catalog:    &catalog.Service{Log: log, Datacenter: dc, Distance: coordinate.Distance},
		coordinate: &coordinate.Service{Log: log, Known: catalog.HasNode},
		kv:         &kv.Service{Log: log},
		raft:       &raftstore.Service{Node: node},
	}
}

// Call implements rpc.Caller: the methods of this server, in this process.
func (s *server) Call(ctx context.Context, h rpc.Header, method string, args, reply any) error {
	if h.Datacenter != "" && h.Datacenter != s.dc {
		return rpc.ErrNoDatacenter
	}
	az, err := s.resolve(ctx, h.Token)
	if err != nil {
		return err
	}
	return s.registry.Dispatch(ctx, az, method, args, reply)
}

// dialRaft opens a connection to another server that speaks Raft.
func dialRaft(address string, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", address, timeout)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte{rpc.ProtocolRaft}); err != nil {
		conn.Close()
		return nil, fmt.Errorf("greet %s: %w", address, err)
	}
	return conn, nil
}
