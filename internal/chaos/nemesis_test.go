//go:build chaos

package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// A nemesis is one kind of harm: begin does it to a server and returns what it has done and how to undo it. The leader is
// the victim of every second.
type nemesis struct {
	name   string
	weight int
	begin  func(c *cluster, victim *agent, random *rand.Rand) (what string, undo func() error, err error)
}

// nemeses is the list of all.
var nemeses = []nemesis{
	{"isolate", 3, isolate},
	{"deafen", 2, deafen},
	{"mute", 2, mute},
	{"part two", 2, partTwo},
	{"pause", 4, stop},
	{"kill", 4, kill},
	{"kill all", 1, killAll},
	{"transfer", 3, transfer},
	{"lose", 2, lose},
	{"slow", 1, slow},
}

// others are all agents but one.
func (c *cluster) others(victim *agent) (all []*agent) {
	for _, a := range c.all() {
		if a != victim {
			all = append(all, a)
		}
	}
	return all
}

// cut deafens agents to each other and returns how to heal all.
func (c *cluster) cut(pairs func(yield func(listener, speaker *agent))) (undo func() error, err error) {
	pairs(func(listener, speaker *agent) { err = errors.Join(err, listener.deafen(speaker.host)) })
	return c.heal, err
}

func (c *cluster) heal() (err error) {
	for _, a := range c.all() {
		err = errors.Join(err, a.host.heal())
	}
	return err
}

// isolate cuts a server from all other agents, and not from the clients.
func isolate(c *cluster, victim *agent, _ *rand.Rand) (string, func() error, error) {
	undo, err := c.cut(func(yield func(a, b *agent)) {
		for _, o := range c.others(victim) {
			yield(victim, o)
			yield(o, victim)
		}
	})
	return "isolate " + victim.name, undo, err
}

// deafen lets a server hear nothing of the others, which hear it.
func deafen(c *cluster, victim *agent, _ *rand.Rand) (string, func() error, error) {
	undo, err := c.cut(func(yield func(a, b *agent)) {
		for _, o := range c.others(victim) {
			yield(victim, o)
		}
	})
	return "deafen " + victim.name, undo, err
}

// mute lets the others hear nothing of a server, which hears them.
func mute(c *cluster, victim *agent, _ *rand.Rand) (string, func() error, error) {
	undo, err := c.cut(func(yield func(a, b *agent)) {
		for _, o := range c.others(victim) {
			yield(o, victim)
		}
	})
	return "mute " + victim.name, undo, err
}

// partTwo cuts a server from one other, so that the third hears both; the client agent may be with either.
func partTwo(c *cluster, victim *agent, random *rand.Rand) (string, func() error, error) {
	others := c.others(victim)
	other := others[random.IntN(len(others))]
	undo, err := c.cut(func(yield func(a, b *agent)) {
		yield(victim, other)
		yield(other, victim)
	})
	return fmt.Sprintf("part %s and %s", victim.name, other.name), undo, err
}

// stop stops a server in the middle of whatever it does.
func stop(_ *cluster, victim *agent, _ *rand.Rand) (string, func() error, error) {
	return "pause " + victim.name, func() error { return victim.signal(syscall.SIGCONT) }, victim.signal(syscall.SIGSTOP)
}

// kill kills a server, or now and then the client agent.
func kill(c *cluster, victim *agent, random *rand.Rand) (string, func() error, error) {
	if random.IntN(8) == 0 {
		victim = c.client
	}
	victim.kill()
	return "kill " + victim.name, victim.start, nil
}

// killAll kills all servers.
func killAll(c *cluster, _ *agent, _ *rand.Rand) (string, func() error, error) {
	for _, s := range c.servers {
		s.kill()
	}
	return "kill all servers", func() (err error) {
		for _, s := range c.servers {
			err = errors.Join(err, s.start())
		}
		return err
	}, nil
}

// transfer asks the leader to hand over.
func transfer(c *cluster, _ *agent, _ *rand.Rand) (string, func() error, error) {
	nothing := func() error { return nil }
	l := c.leader()
	if l == nil {
		return "transfer: nobody leads", nothing, nil
	}
	status, body, err := c.call("POST", l.url()+"/v1/operator/raft/transfer-leader", "")
	return fmt.Sprintf("transfer from %s: %d %s %v", l.name, status, body, err), nothing, nil
}

// lose lets a server and the others lose a part of what they send each other.
func lose(c *cluster, victim *agent, random *rand.Rand) (string, func() error, error) {
	part := 0.05 + random.Float64()/2
	var err error
	for _, o := range c.others(victim) {
		err = errors.Join(err, victim.lose(o.host, part), o.lose(victim.host, part))
	}
	return fmt.Sprintf("%s loses %.0f%%", victim.name, 100*part), c.heal, err
}

// slow makes what a server sends late.
func slow(c *cluster, victim *agent, _ *rand.Rand) (string, func() error, error) {
	return "slow " + victim.name, c.heal, victim.slow()
}

// pick chooses a nemesis by weight.
func pick(random *rand.Rand) nemesis {
	sum := 0
	for _, n := range nemeses {
		sum += n.weight
	}
	at := random.IntN(sum)
	for _, n := range nemeses {
		if at -= n.weight; at < 0 {
			return n
		}
	}
	panic("weights do not add up")
}

// harm does harm until ctx ends, and calms down in between. It returns what it has done, when all of it is undone. since
// gives the time of the history.
func harm(ctx context.Context, c *cluster, random *rand.Rand, since func() int64) (deeds []deed) {
	between := func(least, most time.Duration) {
		select {
		case <-ctx.Done():
		case <-time.After(least + time.Duration(random.Int64N(int64(most-least)))):
		}
	}
	for between(500*time.Millisecond, 3*time.Second); ctx.Err() == nil; between(500*time.Millisecond, 4*time.Second) {
		victim := c.servers[random.IntN(len(c.servers))]
		if l := c.leader(); random.IntN(2) == 0 && l != nil {
			victim = l
		}
		n := pick(random)
		d := deed{Begin: since()}
		what, undo, err := n.begin(c, victim, random)
		if err == nil {
			between(500*time.Millisecond, 6*time.Second)
		}
		err = errors.Join(err, undo())
		d.What, d.End = what, since()
		if err != nil {
			d.Error = err.Error()
		}
		deeds = append(deeds, d)
	}
	return deeds
}
