package gossip

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/serf/serf"
)

// Leave says good-bye to all members and waits until the word has had time to spread, or the context ends. The pool
// still answers until Stop. Alone it returns at once.
func (p *Pool) Leave(ctx context.Context) error {
	s, err := p.running()
	if err != nil {
		return err
	}
	if s.State() == serf.SerfLeft {
		return nil
	}
	alone := p.alone(s, "")
	return p.await(ctx, func() error {
		if alone {
			p.conf.LeavePropagateDelay = 0 // serf reads it in Leave and nowhere else while members are few
		}
		err := s.Leave()
		if p.roster.path != "" && !p.cfg.RejoinAfterLeave {
			err = errors.Join(err, p.roster.forget())
		}
		return err
	})
}

// alone reports whether no member is alive but this one and the named one.
func (p *Pool) alone(s *serf.Serf, but string) bool {
	for _, m := range s.Members() {
		if m.Name != p.cfg.memberName() && m.Name != but && m.Status == serf.StatusAlive {
			return false
		}
	}
	return true
}

// ForceLeave makes a failed member count as left, so that nobody tries to reach it any more; with prune it is
// forgotten altogether, which is done for members that have failed or left only. A member that is alive after all
// objects and stays. It returns ErrNoMember for an unknown name.
func (p *Pool) ForceLeave(ctx context.Context, name string, prune bool) error {
	s, err := p.running()
	if err != nil {
		return err
	}
	status := StatusNone
	for _, m := range s.Members() {
		if m.Name == name {
			status = Status(m.Status)
		}
	}
	if status == StatusNone {
		return fmt.Errorf("force leave %q: %w", name, ErrNoMember)
	}
	if status == StatusAlive && p.alone(s, name) {
		return nil // serf would not send word to it, so that it could not object
	}
	// serf stops all its members for seconds when it prunes one that lives.
	gone := status == StatusFailed || status == StatusLeft
	return p.await(ctx, func() error {
		if prune && gone {
			return s.RemoveFailedNodePrune(name)
		}
		return s.RemoveFailedNode(name)
	})
}
