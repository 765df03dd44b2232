package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"lictor/cmd/lictor/client"
	"lictor/configentry"
	"lictor/hcltext"
)

// entryName are the flags that name a configuration entry.
type entryName struct{ kind, name string }

func (e *entryName) flags(fs *flag.FlagSet) {
	fs.StringVar(&e.kind, "kind", "", "The `kind` of the entry.")
	fs.StringVar(&e.name, "name", "", "The `name` of the entry.")
}

func (e *entryName) check() error {
	switch {
	case e.kind == "":
		return usagef("Must specify the -kind parameter")
	case e.name == "":
		return usagef("Must specify the -name parameter")
	}
	return nil
}

func (e *entryName) path() string { return "/v1/config/" + e.kind + "/" + e.name }

// casFlags are the flags of a check-and-set.
type casFlags struct {
	cas   bool
	index uint64
}

func (f *casFlags) flags(fs *flag.FlagSet) {
	fs.BoolVar(&f.cas, "cas", false, "Do it only if the entry's ModifyIndex is still -modify-index.")
	fs.Uint64Var(&f.index, "modify-index", 0, "The `index` for -cas; 0 means that the entry must not exist.")
}

func (f *casFlags) query() url.Values {
	if !f.cas {
		return nil
	}
	return url.Values{"cas": {fmt.Sprint(f.index)}}
}

func newConfigRead(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	var e entryName
	e.flags(fs)
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		if err := e.check(); err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := cl.Get(ctx, e.path(), nil, &raw); err != nil {
			return failf("Error reading config entry %s/%s: %w", e.kind, e.name, err)
		}
		entry := map[string]any{}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber() // indexes must stay as they are
		if err := d.Decode(&entry); err != nil {
			return failf("Error reading config entry %s/%s: %w", e.kind, e.name, err)
		}
		delete(entry, "Hash")
		return c.json(entry)
	}
}

func newConfigList(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	kind := fs.String("kind", "", "The `kind` of the entries.")
	filter := fs.String("filter", "", "An `expression`, over Kind, Name and Meta, that the entries must fulfil.")
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		if *kind == "" {
			return usagef("Must specify the -kind parameter")
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		q := url.Values{}
		if *filter != "" {
			q.Set("filter", *filter)
		}
		var entries []struct{ Kind, Name string }
		if err := cl.Get(ctx, "/v1/config/"+*kind, q, &entries); err != nil {
			return failf("Error listing config entries for kind %q: %w", *kind, err)
		}
		for _, e := range entries {
			if e.Kind == configentry.Mesh {
				e.Name = configentry.Mesh
			}
			c.printf("%s\n", e.Name)
		}
		return nil
	}
}

// readEntry reads an entry from a file, or from standard input if its name is -.
func (c *console) readEntry(file string) (*configentry.Entry, error) {
	text, err := c.content(file)
	if err != nil {
		return nil, failf("Failed to load data: %w", err)
	}
	form := configentry.Form{}
	if json.Valid([]byte(text)) {
		err = json.Unmarshal([]byte(text), &form)
	} else {
		err = hcltext.Decode((*map[string]any)(&form), text)
	}
	if err != nil {
		return nil, failf("Failed to decode config entry input: %w", err)
	}
	e, err := configentry.Parse(form)
	if err != nil {
		return nil, failf("Failed to decode config entry input: %w", err)
	}
	return e, nil
}

// content is what a file holds, or standard input if its name is -.
func (c *console) content(file string) (string, error) {
	if file == "-" {
		text, err := io.ReadAll(c.in)
		if err != nil {
			return "", fmt.Errorf("Failed to read stdin: %w", err)
		}
		return string(text), nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("Failed to read file: %w", err)
	}
	return string(text), nil
}

func newConfigWrite(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	var f casFlags
	f.flags(fs)
	return func(ctx context.Context, args []string) error {
		if len(args) != 1 {
			return usagef("Must provide exactly one positional argument to specify the config entry to write")
		}
		e, err := c.readEntry(args[0])
		if err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		body, err := json.Marshal(e)
		if err != nil {
			return err
		}
		var done bool
		err = cl.Call(ctx, client.Request{Method: http.MethodPut, Path: "/v1/config", Query: f.query(), Body: bytes.NewReader(body)}, &done)
		switch {
		case err != nil:
			return failf("Error writing config entry %s/%s: %w", e.Kind, e.Name, err)
		case !done:
			return failf("Config entry not updated: %s/%s has another index than %d", e.Kind, e.Name, f.index)
		}
		c.printf("Config entry written: %s/%s\n", e.Kind, e.Name)
		return nil
	}
}

func newConfigDelete(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	var e entryName
	var f casFlags
	e.flags(fs)
	f.flags(fs)
	file := fs.String("filename", "", "Delete the entry that this `file` describes.")
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		if *file != "" {
			if e.kind != "" || e.name != "" {
				return usagef("filename can't be used with kind or name")
			}
			read, err := c.readEntry(*file)
			if err != nil {
				return err
			}
			e = entryName{read.Kind, read.Name}
		}
		if err := e.check(); err != nil {
			return err
		}
		if f.cas && f.index == 0 {
			return usagef("Must specify a -modify-index greater than 0 with -cas")
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		var answer any
		err = cl.Call(ctx, client.Request{Method: http.MethodDelete, Path: e.path(), Query: f.query()}, &answer)
		switch {
		case err != nil:
			return failf("Error deleting config entry %s/%s: %w", e.kind, e.name, err)
		case answer == false:
			return failf("Config entry not deleted: %s/%s has another index than %d", e.kind, e.name, f.index)
		}
		c.printf("Config entry deleted: %s/%s\n", e.kind, e.name)
		return nil
	}
}
