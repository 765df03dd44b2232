package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"lictor/cmd/lictor/client"
	"lictor/configentry"
)

// exportsPath is where the one entry is that says which services other clusters may call.
const exportsPath = "/v1/config/" + configentry.ExportedServices + "/default"

func newServicesExport(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	name := fs.String("name", "", "The `name` of the service.")
	peers := fs.String("consumer-peers", "", "The `peers` that may call it, with commas between them.")
	partitions := fs.String("consumer-partitions", "", "Refused: there are no `partitions`.")
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		consumers := strings.FieldsFunc(*peers, func(r rune) bool { return r == ',' || r == ' ' })
		switch {
		case *partitions != "":
			return usagef("Partitions are a Consul Enterprise feature: there are none to export to")
		case *name == "":
			return usagef("Missing the required -name flag")
		case len(consumers) == 0:
			return usagef("Missing the required -consumer-peers flag")
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		if err := exportService(ctx, cl, *name, consumers); err != nil {
			return failf("Error exporting service %q: %w", *name, err)
		}
		c.printf("Successfully exported service %q to cluster peers %q\n", *name, strings.Join(consumers, ","))
		return nil
	}
}

// errExportsChanged tells that somebody else has written the entry in between.
var errExportsChanged = errors.New("the configuration entry exported-services/default has changed in between: try again")

// exportService adds consumers of a service to the entry, unless it has them all.
func exportService(ctx context.Context, cl *client.Client, service string, peers []string) error {
	var entry struct {
		Kind, Name string
		configentry.Exports
		ModifyIndex uint64
	}
	if err := cl.Get(ctx, exportsPath, nil, &entry); err != nil && !client.NotFound(err) {
		return err
	}
	if !addConsumers(&entry.Exports, service, peers) {
		return nil
	}
	entry.Kind, entry.Name = configentry.ExportedServices, "default"
	body, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	var done bool
	err = cl.Call(ctx, client.Request{Method: http.MethodPut, Path: "/v1/config", Query: url.Values{"cas": {fmt.Sprint(entry.ModifyIndex)}},
		Body: bytes.NewReader(body)}, &done)
	if err == nil && !done {
		err = errExportsChanged
	}
	return err
}

// addConsumers tells whether it had to change anything.
func addConsumers(x *configentry.Exports, service string, peers []string) (changed bool) {
	at := slices.IndexFunc(x.Services, func(s configentry.ExportedService) bool { return s.Name == service })
	if at < 0 {
		at = len(x.Services)
		x.Services = append(x.Services, configentry.ExportedService{Name: service})
	}
	s := &x.Services[at]
	for _, peer := range peers {
		if !slices.ContainsFunc(s.Consumers, func(c configentry.Consumer) bool { return c.Peer == peer }) {
			s.Consumers, changed = append(s.Consumers, configentry.Consumer{Peer: peer}), true
		}
	}
	return changed
}

func newServicesExported(fs *flag.FlagSet, c *console) runFunc {
	r := c.reportFlags(fs)
	filter := fs.String("filter", "", "An `expression`, over Service and Consumers.Peers, that the services must fulfil.")
	return func(ctx context.Context, args []string) error {
		cl, err := r.open(args)
		if err != nil {
			return err
		}
		q := url.Values{}
		if *filter != "" {
			q.Set("filter", *filter)
		}
		var exported []configentry.Export
		if err := cl.Get(ctx, "/v1/exported-services", q, &exported); err != nil {
			return failf("Error reading exported services: %w", err)
		}
		return r.print(exported, func() {
			table := [][]string{{"Service", "Consumer Peers"}}
			for _, e := range exported {
				table = append(table, []string{e.Service, strings.Join(e.Consumers.Peers, ", ")})
			}
			c.columns(table)
		})
	}
}
