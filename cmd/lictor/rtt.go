package main

import (
	"context"
	"flag"
	"math"
	"strings"

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
		find, kind := lanPlace, "LAN"
		if *wan {
			find, kind = wanPlace, "WAN"
		}
		if len(args) == 1 {
			own, err := ownName(ctx, cl, *wan)
			if err != nil {
				return err
			}
			args = append(args, own)
		}
		a, err := find(ctx, cl, args[0])
		if err != nil {
			return err
		}
		b, err := find(ctx, cl, args[1])
		if err != nil {
			return err
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

func lanPlace(ctx context.Context, cl *client.Client, node string) (*coordinate, error) {
	var places []place
	if err := cl.Get(ctx, "/v1/coordinate/nodes", nil, &places); err != nil {
		return nil, failf("Error getting coordinates: %w", err)
	}
	return pick(places, node, node)
}

func wanPlace(ctx context.Context, cl *client.Client, name string) (*coordinate, error) {
	node, datacenter, found := strings.Cut(name, ".")
	if at := strings.LastIndexByte(name, '.'); at >= 0 {
		node, datacenter = name[:at], name[at+1:]
	}
	if !found {
		return nil, usagef("%q is not of the form node.datacenter, as -wan needs it", name)
	}
	var all []struct {
		Datacenter  string
		Coordinates []place
	}
	if err := cl.Get(ctx, "/v1/coordinate/datacenters", nil, &all); err != nil {
		return nil, failf("Error getting coordinates: %w", err)
	}
	for _, dc := range all {
		if dc.Datacenter == datacenter {
			return pick(dc.Coordinates, node, name)
		}
	}
	return nil, failf("Could not find a coordinate for node %q", name)
}

// pick finds a node's coordinate; shown is how the user called the node.
func pick(places []place, node, shown string) (*coordinate, error) {
	for _, p := range places {
		if p.Node == node && p.Coord != nil {
			return p.Coord, nil
		}
	}
	return nil, failf("Could not find a coordinate for node %q", shown)
}
