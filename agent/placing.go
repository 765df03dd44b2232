package agent

import (
	"context"
	"math/rand/v2"
	"time"

	"lictor/coordinate"
	"lictor/rpc"
)

// startPlacing tells the servers again and again where this agent is in the space of round-trip times. All agents together
// do so at the rate of sync_coordinate_rate_target, so that in a large cluster each speaks rarely.
func (a *Agent) startPlacing() {
	if a.cfg.Gossip.NoCoordinates {
		return
	}
	a.running.Go(func() {
		for {
			every := a.placingInterval()
			if !sleep(a.ctx, nil, every+rand.N(every)) {
				return
			}
			a.place()
		}
	})
}

// placingInterval is the shortest pause between two updates of this agent.
func (a *Agent) placingInterval() time.Duration {
	i := &a.cfg.Internal
	return max(coordinate.Pacing{Rate: i.CoordinateRate, Min: i.CoordinateMin}.Interval(a.lan.NumMembers()), time.Millisecond)
}

// place tells the servers once.
func (a *Agent) place() {
	at, err := a.lan.Coordinate()
	if err != nil {
		return
	}
	c := coordinate.Coordinate(at)
	ctx, cancel := context.WithTimeout(a.ctx, a.placingInterval())
	defer cancel()
	update := &coordinate.Update{Datacenter: a.cfg.Node.Datacenter, Node: a.cfg.Node.Name, Segment: a.cfg.Paid.Segment, Coord: &c}
	if _, err := coordinate.UpdateMethod.Call(ctx, a.caller, rpc.Header{Token: a.agentToken()}, update); err != nil && a.ctx.Err() == nil {
		a.log.Debug("the servers were not told where this agent is", "error", err)
	}
}
