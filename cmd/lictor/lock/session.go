package lock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"lictor/cmd/lictor/client"
)

const (
	// sessionTTL is how long a session outlives a holder that has vanished, at least.
	sessionTTL = 15 * time.Second
	// renewInterval leaves room for a failed renewal or two.
	renewInterval = sessionTTL / 2
	// renewRetry is the wait after a failed renewal.
	renewRetry = time.Second
)

// newSession is the body of the request that creates a session.
type newSession struct {
	Name     string
	TTL      string
	Behavior string
}

func create(ctx context.Context, agent client.Doer, s newSession) (id string, err error) {
	body, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	answer, err := put(ctx, agent, client.Request{Path: "/v1/session/create", Body: bytes.NewReader(body)})
	if err != nil {
		return "", err
	}
	var made struct{ ID string }
	if err := json.Unmarshal(answer, &made); err != nil || made.ID == "" {
		return "", fmt.Errorf("the agent has named no session: %q", answer)
	}
	return made.ID, nil
}

func destroy(ctx context.Context, agent client.Doer, id string) error {
	if _, err := put(ctx, agent, client.Request{Path: "/v1/session/destroy/" + id}); err != nil {
		return fmt.Errorf("failed to destroy session: %w", err)
	}
	return nil
}

// keep renews a session until the context ends, the session is gone, or no renewal has succeeded for as long as the
// session lives for sure. alive is a time at which it lived.
func keep(ctx context.Context, agent client.Doer, id string, alive time.Time) {
	wait := renewInterval
	for {
		if pause(ctx, min(wait, time.Until(alive.Add(sessionTTL)))) != nil {
			return
		}
		begun := time.Now()
		if !begun.Before(alive.Add(sessionTTL)) {
			return
		}
		err := renew(ctx, agent, id, alive.Add(sessionTTL))
		switch {
		case err == nil:
			alive, wait = begun, renewInterval
		case client.NotFound(err):
			return
		default:
			wait = renewRetry
		}
	}
}

func renew(ctx context.Context, agent client.Doer, id string, end time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	_, err := put(ctx, agent, client.Request{Path: "/v1/session/renew/" + id})
	return err
}

func put(ctx context.Context, agent client.Doer, r client.Request) ([]byte, error) {
	r.Method = http.MethodPut
	return send(ctx, agent, r)
}

func send(ctx context.Context, agent client.Doer, r client.Request) (_ []byte, err error) {
	res, err := agent.Do(ctx, r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	return io.ReadAll(res.Body)
}
