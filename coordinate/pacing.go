package coordinate

import (
	"math"
	"time"
)

// Pacing says how often agents report their places.
type Pacing struct {
	Rate float64       // reports a second of the whole cluster; 0 or less is no limit
	Min  time.Duration // the shortest time between two reports of one agent
}

// DefaultPacing is 64 reports a second, and one of each agent in 15 seconds at most.
func DefaultPacing() Pacing { return Pacing{Rate: 64, Min: 15 * time.Second} }

// Interval is the time between two reports of one agent in a cluster of so many. Each agent adds up to as much again by
// chance, so that they do not all report at once.
func (p Pacing) Interval(members int) time.Duration {
	if !(p.Rate > 0) { // also if it is no number
		return p.Min
	}
	seconds := float64(members) / p.Rate
	if seconds >= float64(math.MaxInt64)/float64(time.Second) {
		return math.MaxInt64
	}
	return max(p.Min, time.Duration(seconds*float64(time.Second)))
}
