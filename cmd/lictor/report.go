package main

import (
	"encoding/json"
	"flag"

	"lictor/cmd/lictor/client"
)

// A report is what commands share that take no arguments and print what the agent answers, for people or as JSON.
type report struct {
	console *console
	cn      *connection
	format  string
}

func (c *console) reportFlags(fs *flag.FlagSet) *report {
	r := &report{console: c, cn: c.clientFlags(fs)}
	fs.StringVar(&r.format, "format", "pretty", "The `format` to print in, pretty or json.")
	return r
}

// open makes the client, once the flags have been found good.
func (r *report) open(args []string) (*client.Client, error) {
	if err := noArguments(args); err != nil {
		return nil, err
	}
	if r.format != "pretty" && r.format != "json" {
		return nil, usagef("Unknown format: %s", r.format)
	}
	return r.cn.client()
}

// print prints a value as JSON, or leaves it to pretty.
func (r *report) print(v any, pretty func()) error {
	if r.format == "json" {
		return r.console.json(v)
	}
	pretty()
	return nil
}

// json prints a value, indented.
func (c *console) json(v any) error {
	out, err := json.MarshalIndent(v, "", "    ")
	if err != nil {
		return err
	}
	c.printf("%s\n", out)
	return nil
}
