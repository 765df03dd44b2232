package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"lictor/cmd/lictor/client"
)

func newKeygen(_ *flag.FlagSet, c *console) runFunc {
	return func(context.Context, []string) error {
		key := make([]byte, 32)
		rand.Read(key)
		c.printf("%s\n", base64.StdEncoding.EncodeToString(key))
		return nil
	}
}

// keyringOptions are the flags of keyring.
type keyringOptions struct {
	install, use, remove string
	list, listPrimary    bool
	localOnly            bool
	relayFactor          int
}

func newKeyring(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	var o keyringOptions
	fs.StringVar(&o.install, "install", "", "Hand a new `key` to all members. It is not used for sending yet.")
	fs.StringVar(&o.use, "use", "", "Make all members send with this `key`, which must be installed.")
	fs.StringVar(&o.remove, "remove", "", "Take a `key` from all members, which must not be in use.")
	fs.BoolVar(&o.list, "list", false, "List the keys that are installed, and on how many members.")
	fs.BoolVar(&o.listPrimary, "list-primary", false, "List the keys that are in use.")
	fs.BoolVar(&o.localOnly, "local-only", false, "With -list: ask this datacenter only, and not the pool of all servers.")
	fs.IntVar(&o.relayFactor, "relay-factor", 0, "Ask this `number` of other members, 0 to 5, to pass answers on.")
	return func(ctx context.Context, args []string) error {
		if err := o.check(args); err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		if err := o.do(ctx, c, cl); err != nil {
			return failf("error: %w", err)
		}
		return nil
	}
}

func (o keyringOptions) check(args []string) error {
	if err := noArguments(args); err != nil {
		return err
	}
	actions := 0
	for _, chosen := range []bool{o.install != "", o.use != "", o.remove != "", o.list, o.listPrimary} {
		if chosen {
			actions++
		}
	}
	switch {
	case actions == 0:
		return usagef("One of -list, -list-primary, -install, -use and -remove is needed")
	case actions > 1:
		return usagef("Only a single action is allowed")
	case o.relayFactor < 0 || o.relayFactor > 5:
		return usagef("-relay-factor is %d: it must be from 0 to 5", o.relayFactor)
	case o.localOnly && !o.list && !o.listPrimary:
		return usagef("-local-only goes with -list and -list-primary only")
	}
	return nil
}

// do says what it is about to do, as changes of a large cluster take their time, and does it.
func (o keyringOptions) do(ctx context.Context, c *console, cl *client.Client) error {
	switch {
	case o.install != "":
		c.printf("==> Installing new gossip encryption key...\n")
		return o.change(ctx, cl, http.MethodPost, o.install)
	case o.use != "":
		c.printf("==> Changing primary gossip encryption key...\n")
		return o.change(ctx, cl, http.MethodPut, o.use)
	case o.remove != "":
		c.printf("==> Removing gossip encryption key...\n")
		return o.change(ctx, cl, http.MethodDelete, o.remove)
	case o.listPrimary:
		c.printf("==> Gathering installed primary encryption keys...\n")
	default:
		c.printf("==> Gathering installed encryption keys...\n")
	}
	return o.show(ctx, c, cl)
}

func (o keyringOptions) query() url.Values {
	q := url.Values{}
	if o.relayFactor > 0 {
		q.Set("relay-factor", strconv.Itoa(o.relayFactor))
	}
	if o.localOnly {
		q.Set("local-only", "true")
	}
	return q
}

func (o keyringOptions) change(ctx context.Context, cl *client.Client, method, key string) error {
	body := fmt.Sprintf("{\"Key\": %q}", key)
	return cl.Call(ctx, client.Request{Method: method, Path: "/v1/operator/keyring", Query: o.query(), Body: strings.NewReader(body)}, nil)
}

// A poolKeys is what the members of one pool know, from /v1/operator/keyring.
type poolKeys struct {
	WAN               bool
	Datacenter        string
	Segment           string
	Keys, PrimaryKeys map[string]int
	NumNodes          int
}

func (o keyringOptions) show(ctx context.Context, c *console, cl *client.Client) error {
	var pools []poolKeys
	if err := cl.Get(ctx, "/v1/operator/keyring", o.query(), &pools); err != nil {
		return err
	}
	slices.SortStableFunc(pools, func(a, b poolKeys) int {
		if a.WAN != b.WAN {
			return map[bool]int{true: -1, false: 1}[a.WAN]
		}
		return cmp.Or(cmp.Compare(a.Datacenter, b.Datacenter), cmp.Compare(a.Segment, b.Segment))
	})
	for _, p := range pools {
		keys := p.Keys
		if o.listPrimary {
			keys = p.PrimaryKeys
		}
		c.printf("\n%s:\n", p.name())
		var rows [][]string
		for key, nodes := range keys {
			rows = append(rows, []string{key, fmt.Sprintf("[%d/%d]", nodes, p.NumNodes)})
		}
		slices.SortFunc(rows, func(a, b []string) int { return cmp.Compare(a[0], b[0]) })
		for _, row := range rows {
			c.printf("  %s %s\n", row[0], row[1])
		}
	}
	return nil
}

func (p poolKeys) name() string {
	switch {
	case p.WAN:
		return "WAN"
	case p.Segment != "":
		return p.Datacenter + " (LAN) [" + p.Segment + "]"
	default:
		return p.Datacenter + " (LAN)"
	}
}
