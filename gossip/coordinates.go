package gossip

import (
	"errors"
	"slices"

	"github.com/hashicorp/serf/coordinate"
)

// ErrNoCoordinates is returned where network coordinates are disabled.
var ErrNoCoordinates = errors.New("network coordinates are disabled")

// Coordinate is a place in the space of round-trip times, in seconds.
type Coordinate struct {
	Vec        []float64
	Error      float64
	Adjustment float64
	Height     float64
}

// Coordinate returns the place of this agent.
func (p *Pool) Coordinate() (Coordinate, error) {
	s, err := p.running()
	if err != nil {
		return Coordinate{}, err
	}
	if p.cfg.DisableCoordinates {
		return Coordinate{}, ErrNoCoordinates
	}
	c, err := s.GetCoordinate()
	if err != nil {
		return Coordinate{}, err
	}
	return coordinateOf(c), nil
}

// CachedCoordinate returns the place that the named member last reported to this one. It reports false for a member
// that this agent has not probed yet.
func (p *Pool) CachedCoordinate(name string) (Coordinate, bool) {
	s, err := p.running()
	if err != nil {
		return Coordinate{}, false
	}
	c, ok := s.GetCachedCoordinate(name)
	if !ok || c == nil {
		return Coordinate{}, false
	}
	return coordinateOf(c), true
}

func coordinateOf(c *coordinate.Coordinate) Coordinate {
	return Coordinate{Vec: slices.Clone(c.Vec), Error: c.Error, Adjustment: c.Adjustment, Height: c.Height}
}
