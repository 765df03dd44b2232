package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A seenInstance is one of /v1/health/service.
type seenInstance struct {
	Node    struct{ Node, Address string }
	Service struct{ ID, Address string }
	Checks  []seenCheck
}

func (i seenInstance) address() string {
	if i.Service.Address != "" {
		return i.Service.Address
	}
	return i.Node.Address
}

// service finds out why a service is not found by DNS, or not all of its instances are.
func (d *diagnosis) service(ctx context.Context, name string) error {
	self, err := d.self(ctx)
	if err != nil {
		return err
	}
	var instances []seenInstance
	if err := d.client.Get(ctx, "/v1/health/service/"+name, nil, &instances); err != nil {
		d.find(finding{fmt.Sprintf("the catalog does not answer: %s", err), "Look for the leader: lictor troubleshoot leader"})
		return nil
	}
	if len(instances) == 0 {
		return d.unregistered(ctx, name)
	}
	own := map[string]seenCheck{}
	if err := d.client.Get(ctx, "/v1/agent/checks", nil, &own); err != nil {
		return failf("Error querying the agent's checks: %w", err)
	}
	served := 0
	for _, i := range instances {
		for n, c := range i.Checks {
			if o, ok := own[c.CheckID]; ok && i.Node.Node == self.Config.NodeName {
				i.Checks[n].Output = o.Output // the catalog's may be old
			}
		}
		if d.instance(i, self.DebugConfig.DNSOnlyPassing) {
			served++
		}
	}
	if served > 0 {
		d.fine("%d of %d instances of %s can be given out", served, len(instances), name)
	} else {
		d.find(finding{fmt.Sprintf("none of the %d instances of %s can be given out", len(instances), name), "What is said above of each must be mended first."})
	}
	d.dns(ctx, self, name, served)
	return nil
}

// unregistered tells why the catalog does not have a service.
func (d *diagnosis) unregistered(ctx context.Context, name string) error {
	var own map[string]struct{ Service string }
	if err := d.client.Get(ctx, "/v1/agent/services", nil, &own); err != nil {
		return failf("Error querying the agent's services: %w", err)
	}
	for id, s := range own {
		if s.Service == name {
			d.find(finding{fmt.Sprintf("service %s (%s) is registered on this agent, and is not in the catalog", name, id),
				"The agent writes it there as soon as a leader takes it. If that lasts, look at the agent's log for errors of anti-entropy: lictor monitor"})
			return nil
		}
	}
	var services map[string][]string
	if err := d.client.Get(ctx, "/v1/catalog/services", nil, &services); err != nil {
		return failf("Error listing services: %w", err)
	}
	known := map[string]bool{}
	for k := range services {
		known[k] = true
	}
	do := "Register it with the agent of the node that it runs on: lictor services register -name=" + name
	if near := similar(name, known); near != "" {
		do = "Was this meant: " + near + "?\n" + do
	}
	d.find(finding{fmt.Sprintf("no service %q is registered in this datacenter", name), do})
	return nil
}

// instance tells of one instance, and whether it can be given out.
func (d *diagnosis) instance(i seenInstance, onlyPassing bool) bool {
	able := true
	for _, c := range i.Checks {
		c.Node = i.Node.Node
		hides := c.Status == "critical" || onlyPassing && c.Status == "warning"
		switch {
		case hides:
			able = false
			d.judge(c)
		case c.Status == "warning":
			d.fine("%s is a warning, which does not hide the instance: %s", c.title(), firstLine(c.Output))
		}
	}
	if ip := net.ParseIP(i.address()); ip != nil && ip.IsUnspecified() {
		d.find(finding{fmt.Sprintf("instance %s of node %s has the address %s, which leads nowhere", i.Service.ID, i.Node.Node, i.address()),
			"Register it without an address, which means that of its node, or with one that others can reach."})
	}
	return able
}

// dnsTime bounds a question to the agent's DNS.
const dnsTime = 5 * time.Second

var dnsName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$`)

// dns asks the agent's own DNS for a service of which some instances can be given out.
func (d *diagnosis) dns(ctx context.Context, self described, name string, served int) {
	if !dnsName.MatchString(name) {
		d.find(finding{fmt.Sprintf("%q is no host name", name), "Names of letters, digits and hyphens are found by all resolvers, with at most 63 characters; others may be found by some, or by none."})
	}
	at := ""
	for _, address := range self.DebugConfig.DNSAddrs {
		if udp, ok := strings.CutPrefix(address, "udp://"); ok && at == "" {
			at = udp
		}
	}
	if at == "" {
		d.find(finding{"the agent does not answer DNS", "Set ports.dns, 8600 say, on this agent."})
		return
	}
	host, port, err := net.SplitHostPort(at)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		at = net.JoinHostPort("127.0.0.1", port)
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, at)
	}}
	ctx, cancel := context.WithTimeout(ctx, dnsTime)
	defer cancel()
	question := fmt.Sprintf("%s.service.%s", name, strings.TrimSuffix(self.DebugConfig.DNSDomain, "."))
	addresses, err := resolver.LookupHost(ctx, question+".")
	var failed *net.DNSError
	switch {
	case err == nil:
		slices.Sort(addresses)
		d.fine("DNS at %s answers %s with %s", at, question, strings.Join(addresses, ", "))
	case served == 0: // as is to be expected
	case errors.As(err, &failed) && failed.IsNotFound:
		d.find(finding{fmt.Sprintf("DNS at %s has no address for %s", at, question),
			"Its instances may have names in place of addresses, which only a recursor can look up: set recursors. SRV records are there: dig @" + host + " -p " + port + " " + question + " SRV"})
	default:
		d.find(finding{fmt.Sprintf("DNS at %s does not answer: %s", at, err), "Is it reachable from here? This command asks from the host that it runs on."})
	}
}
