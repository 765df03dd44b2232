//go:build soak

package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/consul/api"
)

const (
	kept     = 200             // sessions that are renewed
	left     = 5               // that are not, at any time
	grace    = 2               // times the TTL that a session lives
	overdue  = 5 * time.Second // that an end may be late: what a new leader needs to be one, and to write
	leftTTL  = 10 * time.Second
	renewing = 3 // times within a TTL
)

// keep renews a session at any agent until the run ends. The session is bound to the client agent, which is never killed.
func (r *run) keep(ctx context.Context, random *rand.Rand) {
	ttl := time.Duration(10+random.IntN(50)) * time.Second
	client := r.agents[len(r.agents)-1]
	var id string
	for id == "" && ctx.Err() == nil {
		var err error
		if id, _, err = client.client.Session().Create(&api.SessionEntry{Name: "kept", TTL: ttl.String()}, nil); err != nil {
			sleep(ctx, time.Second)
		}
	}
	for last := r.since(); ctx.Err() == nil; {
		sleep(ctx, ttl/renewing/2+time.Duration(random.Int64N(int64(ttl/renewing))))
		at := client
		if random.IntN(2) == 0 {
			at = r.agents[random.IntN(len(r.agents))]
		}
		call := r.since()
		s, _, err := at.client.Session().Renew(id, nil)
		switch {
		case err != nil: // nobody leads, or the agent is dead
			r.count("renewals that failed")
			if sleep(ctx, time.Second); ctx.Err() == nil {
				if s, _, err = client.client.Session().Renew(id, nil); err == nil && s != nil {
					last = call
				}
			}
		case s != nil:
			r.count("renewals")
			last = call
		}
		if err == nil && s == nil && ctx.Err() == nil {
			if age := r.since() - last; age < grace*ttl {
				r.fault(fmt.Sprintf("session %s with a TTL of %s has ended %s after a renewal", id, ttl, age.Round(time.Millisecond)))
			}
			return
		}
	}
}

// leave creates sessions that nobody renews, and watches them end.
func (r *run) leave(ctx context.Context) {
	client := r.agents[len(r.agents)-1].client
	for ctx.Err() == nil {
		call := r.since()
		id, _, err := client.Session().Create(&api.SessionEntry{Name: "left", TTL: leftTTL.String()}, nil)
		if err != nil {
			sleep(ctx, time.Second)
			continue
		}
		created := r.since()
		for gone := false; !gone && ctx.Err() == nil; {
			asked := r.since()
			s, _, err := client.Session().Info(id, nil)
			now := r.since()
			if gone = err == nil && s == nil; gone {
				r.count("sessions that ended")
				if now-call < grace*leftTTL {
					r.fault(fmt.Sprintf("session %s has ended %s after its creation", id, now-call))
				}
			} else if late := asked - max(created, r.led()) - grace*leftTTL - overdue; err == nil && late > 0 {
				r.fault(fmt.Sprintf("session %s of %s still lives at %s, and the leader since %s", id, created, asked, r.led()))
				return
			}
			sleep(ctx, 250*time.Millisecond)
		}
	}
}
