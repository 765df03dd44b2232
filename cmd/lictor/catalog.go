package main

import (
	"context"
	"flag"
	"maps"
	"net/url"
	"slices"
	"strings"

	"lictor/catalog"
	"lictor/cmd/lictor/client"
)

// noArguments refuses what follows the flags of a command that takes nothing else.
func noArguments(args []string) error {
	if len(args) > 0 {
		return usagef("Too many arguments (expected 0, got %d)", len(args))
	}
	return nil
}

func newCatalogDatacenters(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		var names []string
		if err := cl.Get(ctx, "/v1/catalog/datacenters", nil, &names); err != nil {
			return failf("Error listing datacenters: %w", err)
		}
		c.printf("%s\n", strings.Join(names, "\n"))
		return nil
	}
}

// A nodeQuery says which nodes catalog nodes lists.
type nodeQuery struct {
	near, service, filter string
	meta                  pairs
}

func newCatalogNodes(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	q := nodeQuery{meta: pairs{}}
	detailed := fs.Bool("detailed", false, "Print tagged addresses and metadata, too, and identifiers in full.")
	fs.StringVar(&q.filter, "filter", "", "List only what this `expression` is true of, such as 'Meta.rack == a'.")
	fs.StringVar(&q.near, "near", "", "Sort by the round-trip time from this `node`; _agent is the agent's own.")
	fs.Var(q.meta, "node-meta", "List only nodes with this metadata, `key=value`. May be repeated.")
	fs.StringVar(&q.service, "service", "", "List only nodes that have this `service`.")
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		nodes, err := q.read(ctx, cl)
		if err != nil {
			return failf("Error listing nodes: %w", err)
		}
		if len(nodes) == 0 {
			c.warnf("No nodes match the given query - try expanding your search.\n")
			return nil
		}
		c.columns(nodeTable(nodes, *detailed))
		return nil
	}
}

func (q nodeQuery) read(ctx context.Context, cl *client.Client) ([]catalog.Node, error) {
	params := url.Values{}
	if q.filter != "" {
		params.Set("filter", q.filter)
	}
	if q.near != "" {
		params.Set("near", q.near)
	}
	for k, v := range q.meta {
		params.Add("node-meta", k+":"+v)
	}
	if q.service == "" {
		var nodes []catalog.Node
		err := cl.Get(ctx, "/v1/catalog/nodes", params, &nodes)
		return nodes, err
	}
	return nodesOf(ctx, cl, q.service, params)
}

// nodesOf are the nodes that a service runs on, each once.
func nodesOf(ctx context.Context, cl *client.Client, service string, params url.Values) ([]catalog.Node, error) {
	var instances []struct {
		ID, Node, Address, Datacenter string
		TaggedAddresses, NodeMeta     map[string]string
	}
	if err := cl.Get(ctx, "/v1/catalog/service/"+service, params, &instances); err != nil {
		return nil, err
	}
	var nodes []catalog.Node
	seen := map[string]bool{}
	for _, i := range instances {
		if !seen[i.Node] {
			seen[i.Node] = true
			nodes = append(nodes, catalog.Node{ID: i.ID, Node: i.Node, Address: i.Address, Datacenter: i.Datacenter,
				TaggedAddresses: i.TaggedAddresses, Meta: i.NodeMeta})
		}
	}
	return nodes, nil
}

func nodeTable(nodes []catalog.Node, detailed bool) [][]string {
	head := []string{"Node", "ID", "Address", "DC"}
	if detailed {
		head = append(head, "TaggedAddresses", "Meta")
	}
	table := [][]string{head}
	for _, n := range nodes {
		row := []string{n.Node, n.ID, n.Address, n.Datacenter}
		if detailed {
			row = append(row, joinPairs(n.TaggedAddresses), joinPairs(n.Meta))
		} else {
			row[1] = n.ID[:min(8, len(n.ID))]
		}
		table = append(table, row)
	}
	return table
}

func joinPairs(m map[string]string) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, k+"="+m[k])
	}
	return strings.Join(all, ", ")
}

func newCatalogServices(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	meta := pairs{}
	node := fs.String("node", "", "List only services on the node with this `name` or id.")
	fs.Var(meta, "node-meta", "List only services on nodes with this metadata, `key=value`. May be repeated.")
	tags := fs.Bool("tags", false, "Print the tags of each service, too.")
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		services, err := readServices(ctx, cl, *node, meta)
		if err != nil {
			return failf("Error listing services: %w", err)
		}
		if len(services) == 0 {
			c.warnf("No services match the given query - try expanding your search.\n")
			return nil
		}
		var table [][]string
		for _, name := range slices.Sorted(maps.Keys(services)) {
			row := []string{name}
			if *tags {
				slices.Sort(services[name])
				row = append(row, strings.Join(slices.Compact(services[name]), ","))
			}
			table = append(table, row)
		}
		c.columns(table)
		return nil
	}
}

// readServices maps names of services to their tags.
func readServices(ctx context.Context, cl *client.Client, node string, meta pairs) (map[string][]string, error) {
	params := url.Values{}
	for k, v := range meta {
		params.Add("node-meta", k+":"+v)
	}
	services := map[string][]string{}
	if node == "" {
		err := cl.Get(ctx, "/v1/catalog/services", params, &services)
		return services, err
	}
	var on *struct{ Services map[string]catalog.Instance }
	if err := cl.Get(ctx, "/v1/catalog/node/"+node, params, &on); err != nil || on == nil {
		if client.NotFound(err) {
			err = nil
		}
		return nil, err
	}
	for _, i := range on.Services {
		services[i.Service] = append(services[i.Service], i.Tags...)
	}
	return services, nil
}
