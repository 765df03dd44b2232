package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"lictor/cmd/lictor/client"
	"lictor/configentry"
)

// between are the parameters that name an intention by its two services.
func between(source, destination string) url.Values {
	return url.Values{"source": {source}, "destination": {destination}}
}

// exactIntention reads the intention between two services; nil if there is none.
func exactIntention(ctx context.Context, cl *client.Client, source, destination string) (*configentry.Intention, error) {
	var i configentry.Intention
	err := cl.Get(ctx, "/v1/connect/intentions/exact", between(source, destination), &i)
	var status *client.Status
	if errors.As(err, &status) && status.Code == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, failf("Error reading intention: %w", err)
	}
	return &i, nil
}

func newIntentionCreate(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	allow := fs.Bool("allow", false, "Allow the calls, which is the default.")
	deny := fs.Bool("deny", false, "Deny the calls.")
	replace := fs.Bool("replace", false, "Replace the intention if there is one.")
	file := fs.Bool("file", false, "Read intentions from JSON files, which the arguments name.")
	meta := pairs{}
	fs.Var(meta, "meta", "A `key=value` to keep with the intention. May be given several times.")
	return func(ctx context.Context, args []string) error {
		if *allow && *deny {
			return usagef("Only one of -allow or -deny may be specified.")
		}
		action := configentry.Allow
		if *deny {
			action = configentry.Deny
		}
		var all []*configentry.Intention
		switch {
		case *file:
			for _, name := range args {
				text, err := c.content(name)
				if err != nil {
					return failf("%w", err)
				}
				i := &configentry.Intention{}
				if err := json.Unmarshal([]byte(text), i); err != nil {
					return failf("File: %s: Error parsing JSON: %w", name, err)
				}
				all = append(all, i)
			}
		case len(args) != 2:
			return usagef("Error: Must specify two arguments: source and destination")
		default:
			all = []*configentry.Intention{{SourceName: args[0], DestinationName: args[1], Action: action, Meta: meta}}
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		for _, i := range all {
			if err := c.createIntention(ctx, cl, i, *replace); err != nil {
				return err
			}
		}
		return nil
	}
}

func (c *console) createIntention(ctx context.Context, cl *client.Client, i *configentry.Intention, replace bool) error {
	what := fmt.Sprintf("%s => %s (%s)", i.SourceName, i.DestinationName, i.Action)
	if replace {
		old, err := exactIntention(ctx, cl, i.SourceName, i.DestinationName)
		if err != nil {
			return err
		}
		if old != nil {
			path, query := "/v1/connect/intentions/exact", between(i.SourceName, i.DestinationName)
			if old.ID != "" {
				path, query = "/v1/connect/intentions/"+old.ID, nil
			}
			if err := cl.Put(ctx, path, query, i); err != nil {
				return failf("Error replacing intention %q: %w", what, err)
			}
			return nil
		}
	}
	body, err := json.Marshal(i)
	if err != nil {
		return err
	}
	r := client.Request{Method: http.MethodPost, Path: "/v1/connect/intentions", Body: strings.NewReader(string(body))}
	if err := cl.Call(ctx, r, nil); err != nil {
		return failf("Error creating intention %q: %w", what, err)
	}
	c.printf("Created: %s\n", what)
	return nil
}

func newIntentionCheck(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	return func(ctx context.Context, args []string) error {
		if len(args) != 2 {
			return &failure{code: exitNothing, err: errors.New("Error: command requires exactly two arguments: src and dst"), usage: true}
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		var answer struct{ Allowed bool }
		if err := cl.Get(ctx, "/v1/connect/intentions/check", between(args[0], args[1]), &answer); err != nil {
			return &failure{code: exitNothing, err: fmt.Errorf("Error checking the connection: %w", err)}
		}
		if !answer.Allowed {
			c.printf("Denied\n")
			return &failure{code: exitError}
		}
		c.printf("Allowed\n")
		return nil
	}
}

func newIntentionDelete(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	return func(ctx context.Context, args []string) error {
		r := client.Request{Method: http.MethodDelete, Path: "/v1/connect/intentions/exact"}
		switch len(args) {
		case 1:
			r.Path = "/v1/connect/intentions/" + args[0]
		case 2:
			r.Query = between(args[0], args[1])
		default:
			return usagef("command requires exactly 1 or 2 arguments: an ID, or source and destination")
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		if err := cl.Call(ctx, r, nil); err != nil {
			return failf("Error deleting the intention: %w", err)
		}
		c.printf("Intention deleted.\n")
		return nil
	}
}

func newIntentionGet(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	return func(ctx context.Context, args []string) error {
		if len(args) != 1 && len(args) != 2 {
			return usagef("command requires exactly 1 or 2 arguments: an ID, or source and destination")
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		i := &configentry.Intention{}
		if len(args) == 1 {
			if err := cl.Get(ctx, "/v1/connect/intentions/"+args[0], nil, i); err != nil {
				return failf("Error reading intention: %w", err)
			}
		} else if i, err = exactIntention(ctx, cl, args[0], args[1]); err != nil {
			return err
		} else if i == nil {
			return failf("Intention not found with source %q and destination %q", args[0], args[1])
		}
		rows := [][]string{{"Source:", i.SourceName}, {"Destination:", i.DestinationName}}
		if i.Action != "" {
			rows = append(rows, []string{"Action:", i.Action})
		}
		if i.ID != "" {
			rows = append(rows, []string{"ID:", i.ID})
		}
		if i.Description != "" {
			rows = append(rows, []string{"Description:", i.Description})
		}
		for _, k := range slices.Sorted(maps.Keys(i.Meta)) {
			rows = append(rows, []string{"Meta[" + k + "]:", i.Meta[k]})
		}
		if i.CreatedAt != nil {
			rows = append(rows, []string{"Created At:", i.CreatedAt.Local().Format(time.RFC850)})
		}
		c.columns(rows)
		return nil
	}
}

func newIntentionList(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		var all []*configentry.Intention
		if err := cl.Get(ctx, "/v1/connect/intentions", nil, &all); err != nil {
			return failf("Failed to retrieve the intentions list: %w", err)
		}
		if len(all) == 0 {
			c.warnf("There are no intentions.\n")
			return nil
		}
		rows := [][]string{{"ID", "Source", "Action", "Destination", "Precedence"}}
		for _, i := range all {
			rows = append(rows, []string{i.ID, i.SourceName, i.Action, i.DestinationName, fmt.Sprint(i.Precedence)})
		}
		c.columns(rows)
		return nil
	}
}

func newIntentionMatch(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	source := fs.Bool("source", false, "Match the service as the source.")
	destination := fs.Bool("destination", false, "Match the service as the destination, which is the default.")
	return func(ctx context.Context, args []string) error {
		switch {
		case len(args) != 1:
			return usagef("Error: command requires exactly one argument: src or dst")
		case *source && *destination:
			return usagef("Error: only one of -source or -destination may be specified.")
		}
		by := "destination"
		if *source {
			by = "source"
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		answer := map[string][]*configentry.Intention{}
		if err := cl.Get(ctx, "/v1/connect/intentions/match", url.Values{"by": {by}, "name": args}, &answer); err != nil {
			return failf("Error matching the connection: %w", err)
		}
		for _, all := range answer {
			for _, i := range all {
				what := i.Action
				if len(i.Permissions) > 0 {
					what = fmt.Sprintf("%d permissions", len(i.Permissions))
				}
				c.printf("%s => %s (%s)\n", i.SourceName, i.DestinationName, what)
			}
		}
		return nil
	}
}
