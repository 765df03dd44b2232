package main

import (
	"context"
	"flag"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"lictor/cmd/lictor/client"
)

// An eventFilter says who is to see an event.
type eventFilter struct{ node, service, tag string }

func newEvent(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	var f eventFilter
	name := fs.String("name", "", "The event's `name`.")
	fs.StringVar(&f.node, "node", "", "For nodes only whose name matches this regular `expression`.")
	fs.StringVar(&f.service, "service", "", "For nodes only with a service whose name matches this regular `expression`.")
	fs.StringVar(&f.tag, "tag", "", "For services only with a tag that matches this regular `expression`. Needs -service.")
	return func(ctx context.Context, args []string) error {
		if *name == "" {
			return usagef("Event name must be specified")
		}
		if err := f.check(); err != nil {
			return err
		}
		if len(args) > 1 {
			return usagef("Too many command line arguments.")
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		var fired struct{ ID string }
		r := client.Request{Method: http.MethodPut, Path: "/v1/event/fire/" + *name, Query: f.query(), Body: strings.NewReader(strings.Join(args, ""))}
		if err := cl.Call(ctx, r, &fired); err != nil {
			return failf("Error firing event: %w", err)
		}
		c.printf("Event ID: %s\n", fired.ID)
		return nil
	}
}

func (f eventFilter) check() error {
	for _, e := range []struct{ kind, expression string }{{"node", f.node}, {"service", f.service}, {"tag", f.tag}} {
		if _, err := regexp.Compile(e.expression); err != nil {
			return usagef("Failed to compile %s filter regexp: %w", e.kind, err)
		}
	}
	if f.tag != "" && f.service == "" {
		return usagef("Cannot provide tag filter without service filter.")
	}
	return nil
}

func (f eventFilter) query() url.Values {
	q := url.Values{}
	for k, v := range map[string]string{"node": f.node, "service": f.service, "tag": f.tag} {
		if v != "" {
			q.Set(k, v)
		}
	}
	return q
}
