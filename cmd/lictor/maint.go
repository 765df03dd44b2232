package main

import (
	"context"
	"flag"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"lictor/catalog"
	"lictor/cmd/lictor/client"
)

// The ids of the checks by which maintenance shows.
const (
	nodeMaintenance    = "_node_maintenance"
	serviceMaintenance = "_service_maintenance:"
)

func newMaint(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	enable := fs.Bool("enable", false, "Enter maintenance.")
	disable := fs.Bool("disable", false, "End maintenance.")
	reason := fs.String("reason", "", "`Text` for those who wonder why, with -enable.")
	service := fs.String("service", "", "The `id` of a service on this agent. Default: the node as a whole.")
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		switch {
		case *enable && *disable:
			return usagef("Only one of -enable or -disable may be provided")
		case !*enable && *reason != "":
			return usagef("Reason may only be provided with -enable")
		case !*enable && !*disable && *service != "":
			return usagef("Service requires either -enable or -disable")
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		if !*enable && !*disable {
			return showMaintenance(ctx, c, cl)
		}
		return setMaintenance(ctx, cl, maintenance{console: c, service: *service, enable: *enable, reason: *reason})
	}
}

func showMaintenance(ctx context.Context, c *console, cl *client.Client) error {
	var checks map[string]catalog.Check
	if err := cl.Get(ctx, "/v1/agent/checks", nil, &checks); err != nil {
		return failf("Error getting checks: %w", err)
	}
	for _, id := range slices.Sorted(maps.Keys(checks)) {
		check := checks[id]
		switch {
		case id == nodeMaintenance:
			c.printf("Node:\n  Name:   %s\n  Reason: %s\n\n", check.Node, check.Notes)
		case strings.HasPrefix(id, serviceMaintenance):
			c.printf("Service:\n  ID:     %s\n  Reason: %s\n\n", check.ServiceID, check.Notes)
		}
	}
	return nil
}

// maintenance is a change of a node, or of a service if it has a name.
type maintenance struct {
	console *console
	service string
	enable  bool
	reason  string
}

func setMaintenance(ctx context.Context, cl *client.Client, m maintenance) error {
	q := url.Values{"enable": {strconv.FormatBool(m.enable)}}
	if m.enable {
		q.Set("reason", m.reason)
	}
	path, subject, now := "/v1/agent/maintenance", "Node maintenance is", "disabled"
	if m.service != "" {
		path, subject = "/v1/agent/service/maintenance/"+m.service, "Service maintenance is"
	}
	if m.enable {
		now = "enabled"
	}
	if err := cl.Put(ctx, path, q, nil); err != nil {
		return failf("Error changing maintenance: %w", err)
	}
	if m.service != "" {
		m.console.printf("%s now %s for %q\n", subject, now, m.service)
	} else {
		m.console.printf("%s now %s\n", subject, now)
	}
	return nil
}
