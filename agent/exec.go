package agent

import (
	"context"

	"lictor/agent/remote"
	"lictor/event"
	"lictor/kv"
	"lictor/rpc"
	"lictor/session"
	"lictor/view"
)

// startRemote makes ready to run the jobs of lictor exec, if disable_remote_exec does not forbid it.
func (a *Agent) startRemote() error {
	if a.cfg.Node.DisableRemoteExec {
		return nil
	}
	a.remote = remote.New(&jobs{a}, a.cfg.Node.Name, a.log.With("module", "agent.exec"))
	a.cleanups.add(func() error { a.remote.Wait(); return nil }) // the agent's context has ended by then
	return nil
}

// takeJob runs what an event of lictor exec tells of.
func (a *Agent) takeJob(e *event.Event) {
	if a.remote == nil {
		a.log.Warn("a job of lictor exec is refused: disable_remote_exec is set", "id", e.ID)
		return
	}
	call, err := remote.ReadCall(e.Payload)
	if err != nil {
		a.log.Warn("an event of lictor exec cannot be read", "id", e.ID, "error", err)
		return
	}
	a.remote.Start(a.ctx, call)
}

// jobs keeps the jobs of lictor exec in the cluster's keys. It acts as the agent.
type jobs struct{ agent *Agent }

func (j *jobs) header() rpc.Header {
	return rpc.Header{Token: j.agent.agentToken()}
}

// Get implements remote.Store.
func (j *jobs) Get(ctx context.Context, key string) ([]byte, error) {
	found, err := view.Read(ctx, j.agent.views, kv.GetQuery, &view.Options{Header: j.header()}, kv.Get{Key: key})
	if err != nil || len(found.Value()) == 0 {
		return nil, err
	}
	return append([]byte{}, found.Value()[0].Value...), nil
}

// Put implements remote.Store.
func (j *jobs) Put(ctx context.Context, key string, value []byte, id string) (bool, error) {
	done, err := session.LockMethod.Call(ctx, j.agent.caller, j.header(), &session.Lock{Key: key, Value: value, Session: id})
	if err != nil {
		if lives, asked := j.Lives(ctx, id); asked == nil && !lives {
			return false, nil
		}
	}
	return done, err
}

// Lives implements remote.Store.
func (j *jobs) Lives(ctx context.Context, id string) (bool, error) {
	found, err := view.Read(ctx, j.agent.views, session.InfoQuery, &view.Options{Header: j.header()}, session.Info{ID: id})
	if err != nil {
		return false, err
	}
	return len(found.Value().Rows) > 0, nil
}
