package main

import (
	"context"
	"flag"
	"math"

	"lictor/cmd/lictor/client"
)

// A place is a node's network coordinate, as the API gives it.
type place struct {
	Node  string
	Coord *coordinate
}

// A coordinate is a point of the space in which distances are round-trip times in seconds.
type coordinate struct {
	Vec                []float64
	Adjustment, Height float64
}

// distance estimates the round-trip time between two nodes, in seconds.
func (a *coordinate) distance(b *coordinate) float64 {
	sum := 0.0
	for i := range a.Vec {
		sum += (a.Vec[i] - b.Vec[i]) * (a.Vec[i] - b.Vec[i])
	}
	raw := math.Sqrt(sum) + a.Height + b.Height
	if adjusted := raw + a.Adjustment + b.Adjustment; adjusted > 0 {
		return adjusted
	}
	return raw
}

func newRTT(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	wan := fs.Bool("wan", false, "The nodes are servers, named node.datacenter, of whatever datacenter.")
	return func(ctx context.Context, args []string) error {
		if len(args) < 1 || len(args) > 2 {
			return usagef("One or two node names must be specified")
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		known, kind := lanPlaces, "LAN"
		if *wan {
			known, kind = wanPlaces, "WAN"
		}
		if len(args) == 1 {
			own, err := ownName(ctx, cl, *wan)
			if err != nil {
				return err
			}
			args = append(args, own)
		}
		places, err := known(ctx, cl)
		if err != nil {
			return failf("Error getting coordinates: %w", err)
		}
		a, b := places[args[0]], places[args[1]]
		if a == nil || b == nil && *wan { // between datacenters Consul names the first of a pair, whichever is missing
			return failf("Could not find a coordinate for node %q", args[0])
		}
		if b == nil {
			return failf("Could not find a coordinate for node %q", args[1])
		}
		if len(a.Vec) != len(b.Vec) {
			return failf("The coordinates of %q and %q cannot be compared", args[0], args[1])
		}
		c.printf("Estimated %s <-> %s rtt: %.3f ms (using %s coordinates)\n", args[0], args[1], 1000*a.distance(b), kind)
		return nil
	}
}

func ownName(ctx context.Context, cl *client.Client, wan bool) (string, error) {
	var self struct {
		Config struct{ NodeName, Datacenter string }
	}
	if err := cl.Get(ctx, "/v1/agent/self", nil, &self); err != nil {
		return "", failf("Unable to look up agent info: %w", err)
	}
	if wan {
		return self.Config.NodeName + "." + self.Config.Datacenter, nil
	}
	return self.Config.NodeName, nil
}

// lanPlaces are the nodes of the datacenter by name.
func lanPlaces(ctx context.Context, cl *client.Client) (map[string]*coordinate, error) {
	var nodes []place
	err := cl.Get(ctx, "/v1/coordinate/nodes", nil, &nodes)
	places := map[string]*coordinate{}
	for _, p := range nodes {
		places[p.Node] = p.Coord
	}
	return places, err
}

// wanPlaces are the servers of all datacenters by node.datacenter.
func wanPlaces(ctx context.Context, cl *client.Client) (map[string]*coordinate, error) {
	var datacenters []struct {
		Datacenter  string
		Coordinates []place
	}
	err := cl.Get(ctx, "/v1/coordinate/datacenters", nil, &datacenters)
	places := map[string]*coordinate{}
	for _, dc := range datacenters {
		for _, p := range dc.Coordinates {
			places[p.Node+"."+dc.Datacenter] = p.Coord
		}
	}
	return places, err
}
