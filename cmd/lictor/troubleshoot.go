package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lictor/cmd/lictor/client"
)

// A diagnosis looks for what is wrong, asks the agent's API alone, and prints what it finds as it goes.
type diagnosis struct {
	console *console
	client  *client.Client
	found   int
}

// fine tells of something that is as it should be.
func (d *diagnosis) fine(format string, args ...any) {
	d.console.printf("ok     "+format+"\n", args...)
}

// A finding is something that is wrong, and what to do about it.
type finding struct{ what, do string }

func (d *diagnosis) find(f finding) {
	d.found++
	d.console.printf("FOUND  %s\n", f.what)
	if f.do != "" {
		d.console.printf("       %s\n", strings.ReplaceAll(f.do, "\n", "\n       "))
	}
}

// result is an error, without a text, if something was found.
func (d *diagnosis) result() error {
	if d.found > 0 {
		return &failure{code: exitError}
	}
	return nil
}

// described is what a diagnosis needs to know of the agent.
type described struct {
	Config      struct{ NodeName, Datacenter string }
	DebugConfig struct {
		ServerMode      bool
		BootstrapExpect int
		DNSAddrs        []string
		DNSDomain       string
		DNSOnlyPassing  bool
	}
	Stats struct {
		Consul struct {
			NoLeader string `json:"no_leader"`
			Server   string
		}
	}
}

func (d *diagnosis) self(ctx context.Context) (described, error) {
	var self described
	if err := d.client.Get(ctx, "/v1/agent/self", nil, &self); err != nil {
		return self, failf("Error querying agent: %w", err)
	}
	return self, nil
}

// diagnose makes a command of a diagnosis that is about one named thing, or about none if name is empty.
func diagnose(name string, look func(d *diagnosis, ctx context.Context, subject string) error) func(*flag.FlagSet, *console) runFunc {
	return func(fs *flag.FlagSet, c *console) runFunc {
		cn := c.clientFlags(fs)
		return func(ctx context.Context, args []string) error {
			subject := ""
			switch {
			case name == "" && len(args) > 0:
				return noArguments(args)
			case name != "" && (len(args) != 1 || args[0] == ""):
				return usagef("Exactly one argument is needed: the %s", name)
			case name != "":
				subject = args[0]
			}
			cl, err := cn.client()
			if err != nil {
				return err
			}
			d := &diagnosis{console: c, client: cl}
			if err := look(d, ctx, subject); err != nil {
				return err
			}
			return d.result()
		}
	}
}

// standardPorts are those that an agent listens at, unless it is told otherwise.
const standardPorts = "8600,8500,8501,8502,8503,8300,8301,8302"

// knockTime bounds an attempt to connect.
const knockTime = 5 * time.Second

func newTroubleshootPorts(fs *flag.FlagSet, c *console) runFunc {
	host := fs.String("host", "", "The `host` whose ports to try. Default: that of CONSUL_HTTP_ADDR, or localhost.")
	ports := fs.String("ports", standardPorts, "The `ports` to try, with commas between them.")
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		var wanted []string
		for port := range strings.SplitSeq(*ports, ",") {
			port = strings.TrimSpace(port)
			if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
				return usagef("-ports has %q: a port is a number from 1 to 65535", port)
			}
			wanted = append(wanted, port)
		}
		return c.knock(ctx, cmp.Or(*host, hostOf(c.getenv("CONSUL_HTTP_ADDR")), "localhost"), wanted)
	}
}

// hostOf is the host of an address of the API, "" if it has none.
func hostOf(address string) string {
	if _, rest, ok := strings.Cut(address, "://"); ok {
		address = rest
	}
	address, _, _ = strings.Cut(address, "/")
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// maxKnocks is how many ports are tried at once.
const maxKnocks = 16

// knock tries TCP ports and prints, in their order, which are open. It fails if none is.
func (c *console) knock(ctx context.Context, host string, ports []string) error {
	open := make([]bool, len(ports))
	slots := make(chan struct{}, maxKnocks)
	var all sync.WaitGroup
	for i, port := range ports {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			conn, err := (&net.Dialer{Timeout: knockTime}).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
			if open[i] = err == nil; err == nil {
				conn.Close()
			}
		})
	}
	all.Wait()
	for i, port := range ports {
		if open[i] {
			c.printf("TCP: Port %s on %s is open\n", port, host)
		} else {
			c.printf("TCP: Port %s on %s is closed, unreachable, or the connection timed out.\n", port, host)
		}
	}
	if !slices.Contains(open, true) {
		return failf("No port of %s is open: is an agent running there, and does it listen on that address (client_addr, bind_addr)?", host)
	}
	return nil
}

// firstLine is the first line of a check's output that says something, in bounded length.
func firstLine(output string) string {
	for line := range strings.SplitSeq(output, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			if len(line) > 200 {
				line = strings.ToValidUTF8(line[:200], "") + "..."
			}
			return fmt.Sprintf("%q", line)
		}
	}
	return "no output"
}
