package agent

import (
	"context"
	"time"

	"lictor/event"
	"lictor/gossip"
)

// leaderEvent tells all agents who leads from now on; its payload is the name of the node.
const leaderEvent = "leader"

// startEvents begins to receive the events that users fire.
func (a *Agent) startEvents() error {
	a.events = event.NewInbox(event.Target{Node: a.cfg.Node.Name, Services: func(yield func(string, []string) bool) {
		for _, row := range a.local.Services() {
			if !yield(row.Service, row.Tags) {
				return
			}
		}
	}})
	a.running.Go(func() { a.followUserEvents(a.lan.UserEvents()) })
	return nil
}

// followUserEvents takes what the pool delivers, until that stops.
func (a *Agent) followUserEvents(events <-chan gossip.UserEvent) {
	for e := range events {
		if e.Name == leaderEvent {
			a.log.Info("a server leads the cluster", "node", string(e.Payload))
			continue
		}
		got, err := a.events.Receive(e.Name, e.Payload, e.LTime)
		switch {
		case err != nil:
			a.log.Warn("an event cannot be read", "error", err)
		case got != nil && got.Name == event.Exec:
			a.takeJob(got)
		case got != nil:
			a.log.Debug("an event has come", "event", got.Name, "id", got.ID)
		}
	}
}

// announcePause is how often a new leader tries to tell the others of itself.
const announcePause = 10 * time.Millisecond

// announce tells all agents that this server leads: a duty of the leader. The first leader may come before its pool.
func (s *server) announce(ctx context.Context) {
	for s.agent.lan.UserEvent(leaderEvent, []byte(s.agent.cfg.Node.Name)) != nil {
		select {
		case <-time.After(announcePause):
		case <-ctx.Done():
			return
		}
	}
}
