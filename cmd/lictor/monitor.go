package main

import (
	"context"
	"flag"
	"io"
	"net/http"
	"net/url"

	"lictor/cmd/lictor/client"
)

func newMonitor(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	level := fs.String("log-level", "INFO", "Print messages of this `level` and above: trace, debug, info, warn or err.")
	asJSON := fs.Bool("log-json", false, "Print each message as a line of JSON.")
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		err = copyLog(ctx, cl, logRequest{to: c.out, level: *level, json: *asJSON})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return failf("Error starting monitor: %w", err)
		}
		c.warnf("The agent has ended the log: it may have stopped.\n")
		return nil
	}
}

// A logRequest says which messages go where.
type logRequest struct {
	to    io.Writer
	level string
	json  bool
}

// copyLog copies an agent's log as it is written, until the context or the agent ends it.
func copyLog(ctx context.Context, cl *client.Client, l logRequest) error {
	q := url.Values{"loglevel": {l.level}}
	if l.json {
		q.Set("logjson", "true")
	}
	res, err := cl.Do(ctx, client.Request{Method: http.MethodGet, Path: "/v1/agent/monitor", Query: q})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(l.to, res.Body)
	return err
}
