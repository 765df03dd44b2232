package main

import (
	"context"
	"encoding/json"
	"flag"
)

// An opening is something of an agent that is open to more people than it has to, from /v1/agent/security.
type opening struct{ Key, Text, Close string }

func newCheckSecurity(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	format := fs.String("format", "pretty", "The `format` to print in, pretty or json.")
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		if *format != "pretty" && *format != "json" {
			return usagef("-format is %q: it must be pretty or json", *format)
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		var all []opening
		if err := cl.Get(ctx, "/v1/agent/security", nil, &all); err != nil {
			return failf("Error asking the agent: %w", err)
		}
		return c.tellOpenings(all, *format)
	}
}

// tellOpenings prints what is open. The exit code tells whether anything is.
func (c *console) tellOpenings(all []opening, format string) error {
	if format == "json" {
		e := json.NewEncoder(c.out)
		e.SetIndent("", "    ")
		if err := e.Encode(all); err != nil {
			return err
		}
	}
	for _, o := range all {
		if format == "pretty" {
			c.printf("%s: %s\n    to close it: %s\n", o.Key, o.Text, o.Close)
		}
	}
	if len(all) > 0 {
		return &failure{code: exitError}
	}
	if format == "pretty" {
		c.printf("Nothing is open that could be closed.\n")
	}
	return nil
}
