package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lictor/cmd/lictor/client"
)

// A member is one of /v1/agent/members.
type member struct {
	Name   string
	Addr   string
	Port   uint16
	Tags   map[string]string
	Status int
}

// The names of the states of members, by number.
const memberStates = "none alive leaving left failed"

func (m member) state() string {
	names := strings.Fields(memberStates)
	if m.Status < 0 || m.Status >= len(names) {
		return "unknown"
	}
	return names[m.Status]
}

func (m member) address() string { return net.JoinHostPort(m.Addr, strconv.Itoa(int(m.Port))) }

func (m member) server() bool { return m.Tags["role"] == "consul" }

// segment is the network segment as it is shown: servers are in all of them.
func (m member) segment() string {
	switch s := m.Tags["segment"]; {
	case s != "":
		return s
	case m.server():
		return "<all>"
	default:
		return "<default>"
	}
}

func newMembers(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	detailed := fs.Bool("detailed", false, "Print all tags.")
	filter := fs.String("filter", "", "List only what this `expression` is true of, such as 'Tags.role == consul'.")
	segment := fs.String("segment", "_all", "List only members of this network `segment`.")
	status := fs.String("status", ".*", "List only members whose state matches this regular `expression`: alive, leaving, left or failed.")
	wan := fs.Bool("wan", false, "List the servers of all datacenters.")
	return func(ctx context.Context, _ []string) error {
		state, err := regexp.Compile(*status)
		if err != nil {
			return usagef("Failed to compile status regexp: %w", err)
		}
		q := url.Values{"segment": {*segment}}
		if *wan {
			q.Set("wan", "1")
		}
		if *filter != "" {
			q.Set("filter", *filter)
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		var members []member
		if err := cl.Get(ctx, "/v1/agent/members", q, &members); err != nil {
			return failf("Error retrieving members: %w", err)
		}
		members = slices.DeleteFunc(members, func(m member) bool { return !state.MatchString(m.state()) })
		if len(members) == 0 {
			return &failure{code: exitNothing}
		}
		slices.SortFunc(members, func(a, b member) int {
			return cmp.Or(cmp.Compare(a.Tags["dc"], b.Tags["dc"]), cmp.Compare(a.segment(), b.segment()), cmp.Compare(a.Name, b.Name))
		})
		if *detailed {
			c.columns(detailedMembers(members))
		} else {
			c.columns(memberTable(members))
		}
		c.warnLeaderless(ctx, cl)
		return nil
	}
}

// warnLeaderless tells what the agent says of the voters, if there is no leader: on the standard error, because scripts
// read the table. Who may not ask learns nothing.
func (c *console) warnLeaderless(ctx context.Context, cl *client.Client) {
	var self struct{ Stats map[string]map[string]string }
	if cl.Get(ctx, "/v1/agent/self", nil, &self) != nil {
		return
	}
	if voters, ok := self.Stats["consul"]["no_leader"]; ok {
		text := "There is no leader."
		if voters != "" {
			text += " " + strings.ToUpper(voters[:1]) + voters[1:] + "."
		}
		fmt.Fprintln(c.err, text)
	}
}

func memberTable(members []member) [][]string {
	table := [][]string{{"Node", "Address", "Status", "Type", "Build", "Protocol", "DC", "Partition", "Segment"}}
	for _, m := range members {
		kind := m.Tags["role"]
		switch kind {
		case "consul":
			kind = "server"
		case "node":
			kind = "client"
		case "":
			kind = "unknown"
		}
		build, _, _ := strings.Cut(m.Tags["build"], ":")
		if build == "" {
			build = "< 0.3"
		}
		partition := cmp.Or(m.Tags["ap"], "default")
		table = append(table, []string{m.Name, m.address(), m.state(), kind, build, m.Tags["vsn"], m.Tags["dc"], partition, m.segment()})
	}
	return table
}

func detailedMembers(members []member) [][]string {
	table := [][]string{{"Node", "Address", "Status", "Tags"}}
	for _, m := range members {
		tags := map[string]string{"ap": "default"}
		maps.Copy(tags, m.Tags)
		tags["segment"] = m.segment()
		var all []string
		for _, k := range slices.Sorted(maps.Keys(tags)) {
			all = append(all, k+"="+tags[k])
		}
		table = append(table, []string{m.Name, m.address(), m.state(), strings.Join(all, ",")})
	}
	return table
}

func newJoin(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	wan := fs.Bool("wan", false, "Join servers of another datacenter.")
	return func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return usagef("At least one address to join must be specified.")
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		q := url.Values{}
		if *wan {
			q.Set("wan", "1")
		}
		joined := 0
		for _, address := range args {
			if err := cl.Put(ctx, "/v1/agent/join/"+address, q, nil); err != nil {
				c.warnf("Error joining address '%s': %s\n", address, err)
				continue
			}
			joined++
		}
		if joined == 0 {
			return failf("Failed to join any nodes.")
		}
		c.printf("Successfully joined cluster by contacting %d nodes.\n", joined)
		return nil
	}
}

func newForceLeave(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	prune := fs.Bool("prune", false, "Forget the member at once, not after a while.")
	wan := fs.Bool("wan", false, "Declare it in the pool of the servers of all datacenters only.")
	return func(ctx context.Context, args []string) error {
		if len(args) != 1 {
			return usagef("A single node name must be specified to force leave.")
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		q := url.Values{}
		if *prune {
			q.Set("prune", "1")
		}
		if *wan {
			q.Set("wan", "1")
		}
		if err := cl.Put(ctx, "/v1/agent/force-leave/"+args[0], q, nil); err != nil {
			return failf("Error force leaving: %w", err)
		}
		return nil
	}
}

func newLeave(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		if err := cl.Put(ctx, "/v1/agent/leave", nil, nil); err != nil {
			return failf("Error leaving: %w", err)
		}
		c.printf("Graceful leave complete\n")
		return nil
	}
}

func newReload(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		if err := cl.Put(ctx, "/v1/agent/reload", nil, nil); err != nil {
			return failf("Error reloading: %w", err)
		}
		c.printf("Configuration reload triggered\n")
		return nil
	}
}

func newInfo(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	return func(ctx context.Context, _ []string) error {
		cl, err := cn.client()
		if err != nil {
			return err
		}
		var self struct {
			Stats map[string]map[string]any
		}
		if err := cl.Get(ctx, "/v1/agent/self", nil, &self); err != nil {
			return failf("Error querying agent: %w", err)
		}
		for _, section := range slices.Sorted(maps.Keys(self.Stats)) {
			c.printf("%s:\n", section)
			for _, key := range slices.Sorted(maps.Keys(self.Stats[section])) {
				c.printf("\t%s = %s\n", key, fmt.Sprint(self.Stats[section][key]))
			}
		}
		return nil
	}
}
