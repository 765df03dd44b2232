package main

import (
	"context"
	"flag"
)

// An opening is something of an agent that is open to more people than it has to, from /v1/agent/security.
type opening struct{ Key, Text, Close string }

func newCheckSecurity(fs *flag.FlagSet, c *console) runFunc {
	r := c.reportFlags(fs)
	return func(ctx context.Context, args []string) error {
		cl, err := r.open(args)
		if err != nil {
			return err
		}
		var all []opening
		if err := cl.Get(ctx, "/v1/agent/security", nil, &all); err != nil {
			return failf("Error asking the agent: %w", err)
		}
		if err := r.print(all, func() { c.tellOpenings(all) }); err != nil {
			return err
		}
		if len(all) > 0 { // the exit code tells, too
			return &failure{code: exitError}
		}
		return nil
	}
}

// tellOpenings prints what is open, and what closes it.
func (c *console) tellOpenings(all []opening) {
	for _, o := range all {
		c.printf("%s: %s\n    to close it: %s\n", o.Key, o.Text, o.Close)
	}
	if len(all) == 0 {
		c.printf("Nothing is open that could be closed.\n")
	}
}
