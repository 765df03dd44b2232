package main

import (
	"context"
	"encoding/json"
	"flag"

	"lictor/hcltext"
)

func newConnectCAGetConfig(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		var settings json.RawMessage
		if err := cl.Get(ctx, "/v1/connect/ca/configuration", nil, &settings); err != nil {
			return failf("Error querying CA configuration: %w", err)
		}
		return c.json(settings)
	}
}

func newConnectCASetConfig(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	file := fs.String("config-file", "", "The `file` with the settings, in JSON or HCL: Provider and Config.")
	force := fs.Bool("force-without-cross-signing", false, "Accepted for Consul's sake: the built-in authority can always sign across.")
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		if *file == "" {
			return usagef("The -config-file flag is required")
		}
		text, err := c.content(*file)
		if err != nil {
			return failf("Error reading config file: %w", err)
		}
		var form struct {
			Provider                 string
			Config                   map[string]any
			ForceWithoutCrossSigning bool
		}
		if json.Valid([]byte(text)) {
			err = json.Unmarshal([]byte(text), &form)
		} else {
			err = hcltext.Decode(&form, text)
		}
		if err != nil {
			return failf("Error parsing config file: %w", err)
		}
		form.ForceWithoutCrossSigning = form.ForceWithoutCrossSigning || *force
		cl, err := cn.client()
		if err != nil {
			return err
		}
		if err := cl.Put(ctx, "/v1/connect/ca/configuration", nil, &form); err != nil {
			return failf("Error setting CA configuration: %w", err)
		}
		c.printf("Configuration updated!\n")
		return nil
	}
}
