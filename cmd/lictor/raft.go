package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"lictor/cmd/lictor/client"
)

// A raftServer is one of /v1/operator/raft/configuration.
type raftServer struct {
	ID, Node, Address string
	Leader, Voter     bool
	ProtocolVersion   string
	LastIndex         uint64
}

func newRaftListPeers(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	return func(ctx context.Context, _ []string) error {
		cl, err := cn.client()
		if err != nil {
			return err
		}
		var raft struct{ Servers []raftServer }
		if err := cl.Get(ctx, "/v1/operator/raft/configuration", nil, &raft); err != nil {
			return failf("Error getting peers: Failed to retrieve raft configuration: %w", err)
		}
		c.columns(peerTable(raft.Servers))
		return nil
	}
}

func peerTable(servers []raftServer) [][]string {
	var last uint64
	for _, s := range servers {
		if s.Leader {
			last = s.LastIndex
		}
	}
	table := [][]string{{"Node", "ID", "Address", "State", "Voter", "RaftProtocol", "Commit Index", "Trails Leader By"}}
	for _, s := range servers {
		protocol, state, trails := s.ProtocolVersion, "follower", "-"
		if protocol == "" {
			protocol = "<=1"
		}
		if s.Leader {
			state = "leader"
		} else if last > 0 {
			trails = fmt.Sprintf("%d commits", last-min(last, s.LastIndex))
		}
		table = append(table, []string{s.Node, s.ID, s.Address, state, strconv.FormatBool(s.Voter), protocol,
			strconv.FormatUint(s.LastIndex, 10), trails})
	}
	return table
}

func newRaftRemovePeer(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	address := fs.String("address", "", "The server's `address`, with its port.")
	id := fs.String("id", "", "The server's `id`.")
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		if (*address == "") == (*id == "") {
			return usagef("Error removing peer: an address or id is required for the peer to remove, and only one of them")
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		q, what := url.Values{"id": {*id}}, fmt.Sprintf("id %q", *id)
		if *address != "" {
			q, what = url.Values{"address": {*address}}, fmt.Sprintf("address %q", *address)
		}
		r := client.Request{Method: http.MethodDelete, Path: "/v1/operator/raft/peer", Query: q}
		if err := cl.Call(ctx, r, nil); err != nil {
			return failf("Error removing peer: Failed to remove peer: %w", err)
		}
		c.printf("Removed peer with %s\n", what)
		return nil
	}
}

func newRaftTransferLeader(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	id := fs.String("id", "", "The `id` of the server to lead. Default: whichever is ready.")
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		q := url.Values{}
		if *id != "" {
			q.Set("id", *id)
		}
		var done struct{ Success bool }
		r := client.Request{Method: http.MethodPost, Path: "/v1/operator/raft/transfer-leader", Query: q}
		if err := cl.Call(ctx, r, &done); err != nil {
			return failf("Error transfering leadership: Failed to transfer leadership: %w", err)
		}
		if !done.Success {
			return failf("Error transfering leadership: the agent did not do it")
		}
		c.printf("Success\n")
		return nil
	}
}
