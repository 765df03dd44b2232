package main

import (
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"lictor/cmd/lictor/client"
	"lictor/kv"
)

const missingKey = "Error! Missing KEY argument"

func newKVGet(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	v := &entryView{console: c}
	fs.BoolVar(&v.base64, "base64", false, "Print values in base64.")
	fs.BoolVar(&v.detailed, "detailed", false, "Print flags, indexes and session, too.")
	keys := fs.Bool("keys", false, "Print the names of keys only.")
	recurse := fs.Bool("recurse", false, "Print all keys below the prefix.")
	separator := fs.String("separator", "/", "With -keys: list names up to this `text` only.")
	return func(ctx context.Context, args []string) error {
		if len(args) > 1 {
			return usagef("Error! Too many arguments (expected 1, got %d)", len(args))
		}
		key := strings.TrimPrefix(strings.Join(args, ""), "/")
		if key == "" && !*keys && !*recurse {
			return usagef(missingKey)
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		switch {
		case *keys:
			return v.names(ctx, cl, key, *separator)
		case *recurse:
			return v.tree(ctx, cl, key)
		default:
			return v.one(ctx, cl, key)
		}
	}
}

// An entryView prints entries.
type entryView struct {
	console          *console
	base64, detailed bool
}

func (v *entryView) names(ctx context.Context, cl *client.Client, prefix, separator string) error {
	var names []string
	err := cl.Get(ctx, "/v1/kv/"+prefix, url.Values{"keys": {""}, "separator": {separator}}, &names)
	if err != nil && !client.NotFound(err) {
		return failf("Error querying Consul agent: %w", err)
	}
	for _, name := range names {
		v.console.printf("%s\n", name)
	}
	return nil
}

func (v *entryView) tree(ctx context.Context, cl *client.Client, prefix string) error {
	entries, err := readTree(ctx, cl, prefix)
	if err != nil {
		return err
	}
	for i, e := range entries {
		switch {
		case v.detailed:
			if i > 0 {
				v.console.printf("\n")
			}
			v.detail(e)
		default:
			v.console.printf("%s:%s\n", e.Key, v.value(e))
		}
	}
	return nil
}

func readTree(ctx context.Context, cl *client.Client, prefix string) ([]kv.Entry, error) {
	var entries []kv.Entry
	err := cl.Get(ctx, "/v1/kv/"+prefix, url.Values{"recurse": {""}}, &entries)
	if err != nil && !client.NotFound(err) {
		return nil, failf("Error querying Consul agent: %w", err)
	}
	return entries, nil
}

func (v *entryView) one(ctx context.Context, cl *client.Client, key string) error {
	var entries []kv.Entry
	err := cl.Get(ctx, "/v1/kv/"+key, nil, &entries)
	switch {
	case client.NotFound(err) || err == nil && len(entries) == 0:
		return failf("Error! No key exists at: %s", key)
	case err != nil:
		return failf("Error querying Consul agent: %w", err)
	case v.detailed:
		v.detail(entries[0])
	default:
		v.console.printf("%s\n", v.value(entries[0]))
	}
	return nil
}

func (v *entryView) value(e kv.Entry) string {
	if v.base64 {
		return base64.StdEncoding.EncodeToString(e.Value)
	}
	return string(e.Value)
}

func (v *entryView) detail(e kv.Entry) {
	session := e.Session
	if session == "" {
		session = "-"
	}
	rows := [][]string{
		{"CreateIndex", fmt.Sprint(e.CreateIndex)},
		{"Flags", fmt.Sprint(e.Flags)},
		{"Key", e.Key},
		{"LockIndex", fmt.Sprint(e.LockIndex)},
		{"ModifyIndex", fmt.Sprint(e.ModifyIndex)},
		{"Session", session},
	}
	if e.TTL != "" {
		rows = append(rows, []string{"TTL", e.TTL})
	}
	v.console.columns(rows)
	v.console.printf("Value        %s\n", v.value(e))
}

// putOptions are the flags of kv put.
type putOptions struct {
	acquire, release, cas, base64 bool
	flags, modifyIndex            uint64
	session, ttl                  string
}

func newKVPut(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	var o putOptions
	fs.BoolVar(&o.acquire, "acquire", false, "Lock the key for -session as well.")
	fs.BoolVar(&o.release, "release", false, "Release the lock that -session holds on the key as well.")
	fs.BoolVar(&o.cas, "cas", false, "Write only if the key's ModifyIndex is still -modify-index.")
	fs.BoolVar(&o.base64, "base64", false, "VALUE is base64.")
	fs.Uint64Var(&o.flags, "flags", 0, "A `number` of your own to keep beside the value.")
	fs.Uint64Var(&o.modifyIndex, "modify-index", 0, "The `index` for -cas; 0 means that the key must not exist.")
	fs.StringVar(&o.session, "session", "", "The `id` of a session, for -acquire and -release.")
	fs.StringVar(&o.ttl, "ttl", "", "Delete the key after this `time`, from 1s to 24h, unless it is written again.")
	return func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return usagef(missingKey)
		}
		if len(args) > 2 {
			return usagef("Error! Too many arguments (expected 1 or 2, got %d)", len(args))
		}
		if (o.acquire || o.release) && o.session == "" {
			return usagef("Error! Missing -session: -acquire and -release need the id of a session")
		}
		value, err := o.value(c, args[1:])
		if err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		if err := o.put(ctx, cl, args[0], value); err != nil {
			return err
		}
		done := "Data written to"
		switch {
		case o.acquire:
			done = "Lock acquired on"
		case o.release:
			done = "Lock released on"
		}
		c.printf("Success! %s: %s\n", done, args[0])
		return nil
	}
}

func (o putOptions) value(c *console, args []string) (string, error) {
	value, err := c.data(strings.Join(args, ""))
	if err != nil || !o.base64 {
		return value, err
	}
	plain, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return "", failf("Error! Cannot base 64 decode data: %w", err)
	}
	return string(plain), nil
}

func (o putOptions) put(ctx context.Context, cl *client.Client, key, value string) error {
	q := url.Values{}
	if o.flags != 0 {
		q.Set("flags", strconv.FormatUint(o.flags, 10))
	}
	if o.ttl != "" {
		q.Set("ttl", o.ttl)
	}
	refused := ""
	switch {
	case o.cas && o.modifyIndex == 0:
		q.Set("cas", "0")
		refused = "CAS performed with index=0 and key already exists."
	case o.cas:
		q.Set("cas", strconv.FormatUint(o.modifyIndex, 10))
		refused = "CAS failed"
	}
	if o.acquire {
		q.Set("acquire", o.session)
		refused = "another session holds the lock, or held it until a moment ago"
	}
	if o.release {
		q.Set("release", o.session)
		refused = "the session does not hold the lock"
	}
	done, err := writeKey(ctx, cl, client.Request{Method: http.MethodPut, Path: key, Query: q, Body: strings.NewReader(value)})
	if err != nil {
		return failf("Error! Failed writing data: %w", err)
	}
	if !done {
		return failf("Error! Did not write to %s: %s", key, refused)
	}
	return nil
}

// writeKey sends a request that changes the key in its path, and tells whether the agent did so.
func writeKey(ctx context.Context, cl *client.Client, r client.Request) (done bool, err error) {
	if strings.HasPrefix(r.Path, "/") {
		return false, failf("Invalid key. Key must not begin with a '/': %s", r.Path)
	}
	r.Path = "/v1/kv/" + r.Path
	err = cl.Call(ctx, r, &done)
	return done, err
}

func newKVDelete(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	cas := fs.Bool("cas", false, "Delete only if the key's ModifyIndex is still -modify-index.")
	modifyIndex := fs.Uint64("modify-index", 0, "The `index` for -cas.")
	recurse := fs.Bool("recurse", false, "Delete all keys below the prefix.")
	return func(ctx context.Context, args []string) error {
		if len(args) > 1 {
			return usagef("Error! Too many arguments (expected 1, got %d)", len(args))
		}
		key := strings.Join(args, "")
		switch {
		case key == "" && !*recurse:
			return usagef(missingKey)
		case *cas && *modifyIndex == 0:
			return usagef("Cannot delete a key that does not exist. Provide a -modify-index greater than than 0.")
		case *cas && *recurse:
			return usagef("Cannot use -cas with -recurse: a prefix has no ModifyIndex.")
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		q := url.Values{}
		if *cas {
			q.Set("cas", strconv.FormatUint(*modifyIndex, 10))
		}
		if *recurse {
			q.Set("recurse", "")
		}
		done, err := writeKey(ctx, cl, client.Request{Method: http.MethodDelete, Path: key, Query: q})
		switch {
		case err != nil:
			return failf("Error! Did not delete %s: %w", key, err)
		case !done:
			return failf("Error! Did not delete key %s: CAS failed", key)
		case *recurse:
			c.printf("Success! Deleted keys with prefix: %s\n", key)
		default:
			c.printf("Success! Deleted key: %s\n", key)
		}
		return nil
	}
}
