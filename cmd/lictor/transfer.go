package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"lictor/cmd/lictor/client"
)

// An exportedEntry is how kv export writes a key and kv import reads it.
type exportedEntry struct {
	Key   string `json:"key"`
	Flags uint64 `json:"flags"`
	Value []byte `json:"value"`
	TTL   string `json:"ttl,omitempty"`
}

func newKVExport(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	return func(ctx context.Context, args []string) error {
		if len(args) > 1 {
			return usagef("Too many arguments (expected 1, got %d)", len(args))
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		entries, err := readTree(ctx, cl, strings.TrimPrefix(strings.Join(args, ""), "/"))
		if err != nil {
			return err
		}
		exported := make([]exportedEntry, len(entries))
		for i, e := range entries {
			exported[i] = exportedEntry{Key: e.Key, Flags: e.Flags, Value: append([]byte{}, e.Value...), TTL: e.TTL}
		}
		text, err := json.MarshalIndent(exported, "", "\t")
		if err != nil {
			return err
		}
		c.printf("%s\n", text)
		return nil
	}
}

func newKVImport(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	prefix := fs.String("prefix", "", "Write the keys below this `key`.")
	return func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return usagef("Error! Missing DATA argument")
		}
		if len(args) > 1 {
			return usagef("Error! Too many arguments (expected 1, got %d)", len(args))
		}
		data, err := c.data(args[0])
		if err != nil {
			return err
		}
		var entries []exportedEntry
		if err := json.Unmarshal([]byte(data), &entries); err != nil {
			return failf("Cannot unmarshal data: %w", err)
		}
		for i, e := range entries {
			if e.Key == "" {
				return failf("Error! Entry %d of the data has no key: nothing was written", i+1)
			}
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := importEntry(ctx, cl, *prefix, &e); err != nil {
				return err
			}
			c.printf("Imported: %s\n", e.Key)
		}
		return nil
	}
}

// importEntry writes one entry below a prefix and leaves in it the name of the key that was written.
func importEntry(ctx context.Context, cl *client.Client, prefix string, e *exportedEntry) error {
	if strings.HasPrefix(prefix, "/") {
		return failf("Error! Invalid prefix: it must not begin with a '/': %s", prefix)
	}
	if prefix != "" {
		e.Key = strings.TrimSuffix(prefix, "/") + "/" + e.Key
	}
	q := url.Values{}
	if e.Flags != 0 {
		q.Set("flags", strconv.FormatUint(e.Flags, 10))
	}
	if e.TTL != "" {
		q.Set("ttl", e.TTL)
	}
	r := client.Request{Method: http.MethodPut, Path: "/v1/kv/" + e.Key, Query: q, Body: bytes.NewReader(e.Value)}
	if err := cl.Call(ctx, r, nil); err != nil {
		return failf("Error! Failed writing data for key %s: %w", e.Key, err)
	}
	return nil
}

// data is what an argument stands for: @ and the name of a file, - for standard input, or the text itself.
func (c *console) data(arg string) (string, error) {
	switch {
	case arg == "-":
		content, err := io.ReadAll(c.in)
		if err != nil {
			return "", failf("Error! Failed to read stdin: %w", err)
		}
		return string(content), nil
	case strings.HasPrefix(arg, "@"):
		content, err := os.ReadFile(arg[1:])
		if err != nil {
			return "", failf("Error! Failed to read file: %w", err)
		}
		return string(content), nil
	default:
		return arg, nil
	}
}
