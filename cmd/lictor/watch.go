package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lictor/cmd/lictor/client"
	"lictor/watch"
)

func newWatch(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	var q watch.Query
	var tags list
	fs.StringVar(&q.Type, "type", "", "The `type` of what to watch: "+strings.Join(watch.Types(), ", ")+".")
	fs.StringVar(&q.Key, "key", "", "The `key` to watch, for type key.")
	fs.StringVar(&q.Prefix, "prefix", "", "The `prefix` of the keys to watch, for type keyprefix.")
	fs.StringVar(&q.Name, "name", "", "The `name` of the events to watch, for type event. Default: all.")
	fs.StringVar(&q.Service, "service", "", "The `service` to watch, for types service, checks and connect_leaf.")
	fs.StringVar(&q.ServiceID, "service-id", "", "The `id` of a service that is registered on the agent, for type agent_service.")
	fs.Var(&tags, "tag", "Only instances with this `tag`, for type service. May be repeated.")
	fs.BoolVar(&q.PassingOnly, "passingonly", false, "Only instances whose checks pass, for type service.")
	fs.StringVar(&q.State, "state", "", "Only checks in this `state`, for type checks: any, passing, warning or critical.")
	fs.StringVar(&q.Filter, "filter", "", "Only what this `expression` is true of, for types services, nodes, service and checks.")
	shell := fs.Bool("shell", true, "Let a shell run the command: that of the environment variable SHELL, or /bin/sh.")
	return func(ctx context.Context, args []string) error {
		q.Tags = tags
		cl, err := cn.client()
		if err != nil {
			return err
		}
		w, err := watch.New(apiSource{cl}, q)
		if err != nil {
			return usagef("%w", err)
		}
		first, err := w.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return failf("Error querying Consul agent: %w", err)
		}
		if len(args) == 0 {
			return c.show(first)
		}
		return c.follow(ctx, watched{watch: w, first: first, handler: childCommand{args: args, shell: *shell}})
	}
}

// An apiSource asks an agent over its API.
type apiSource struct{ client *client.Client }

// Ask implements watch.Source.
func (s apiSource) Ask(ctx context.Context, q watch.Question) (watch.Answer, error) {
	r := client.Request{Path: q.Path + q.Name, Query: url.Values{}}
	maps.Copy(r.Query, q.Query)
	if q.Hash != "" {
		r.Query.Set("hash", q.Hash)
	}
	a, err := client.Read(ctx, s.client, r, q.Index)
	return watch.Answer{Body: a.Body, Missing: a.Missing, Index: a.Index, Hash: a.Hash}, err
}

// show prints a change for reading.
func (c *console) show(change watch.Change) error {
	var out bytes.Buffer
	if err := json.Indent(&out, change.JSON, "", "    "); err != nil {
		return err
	}
	c.printf("%s\n", out.String())
	return nil
}

// A watched thing has a handler that runs for each change of it. The first change is known already.
type watched struct {
	watch   *watch.Watch
	first   watch.Change
	handler childCommand
}

// follow runs the handler for each change, one after the other, until the context ends. One that fails is reported, and
// is called again with the next change.
func (c *console) follow(ctx context.Context, w watched) error {
	handle := func(change watch.Change) error {
		what := w.handler
		what.stdin = bytes.NewReader(append(change.JSON[:len(change.JSON):len(change.JSON)], '\n'))
		what.env = []string{"CONSUL_INDEX=" + strconv.FormatUint(change.Index, 10)}
		handler, err := c.start(what)
		if err != nil {
			return failf("Error executing handler: %w", err)
		}
		if err := handler.wait(ctx.Done(), nil); err != nil && ctx.Err() == nil {
			c.warnf("Error executing handler: %s\n", err)
		}
		return nil
	}
	if err := handle(w.first); err != nil {
		return err
	}
	err := w.watch.Run(ctx, handle, func(err error, next time.Duration) {
		c.warnf("Error querying Consul agent, trying again in %s: %s\n", next, err)
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}
