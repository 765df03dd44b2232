package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"strconv"

	"lictor/catalog"
	"lictor/cmd/lictor/client"
)

func newServicesRegister(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	var s catalog.ServiceDefinition
	s.Meta = map[string]string{}
	addresses := pairs{}
	fs.StringVar(&s.ID, "id", "", "The service's `id`. Default: its name.")
	fs.StringVar(&s.Name, "name", "", "The service's `name`.")
	fs.StringVar(&s.Kind, "kind", "", "The service's `kind`, if it is a proxy or a gateway.")
	fs.StringVar(&s.Address, "address", "", "The service's `address`. Default: the node's.")
	fs.IntVar(&s.Port, "port", 0, "The service's `port`.")
	fs.StringVar(&s.SocketPath, "socket", "", "The `path` of the unix socket that the service listens on, instead of a port.")
	fs.Var(pairs(s.Meta), "meta", "Metadata, `key=value`. May be repeated.")
	fs.Var((*list)(&s.Tags), "tag", "A `tag`. May be repeated.")
	fs.Var(addresses, "tagged-address", "A tagged address, `tag=address:port`. May be repeated.")
	return func(ctx context.Context, args []string) error {
		flags := s.ID != "" || s.Name != "" || s.Kind != "" || s.Address != "" || s.Port != 0 || s.SocketPath != "" ||
			len(s.Meta)+len(s.Tags)+len(addresses) > 0
		switch {
		case !flags && len(args) == 0:
			return usagef("Service registration requires at least one argument or flags.")
		case flags && len(args) > 0:
			return usagef("Service registration requires arguments or -id, not both.")
		case flags && s.Name == "":
			return usagef("Service registration by flags requires -name.")
		}
		services := []catalog.ServiceDefinition{s}
		var err error
		if flags {
			services[0].TaggedAddresses, err = taggedAddresses(addresses)
		} else {
			services, err = readDefinitions(args)
		}
		if err != nil {
			return failf("Error: %w", err)
		}
		return registerServices(ctx, c, cn, services)
	}
}

func taggedAddresses(given pairs) (map[string]catalog.ServiceAddress, error) {
	addresses := map[string]catalog.ServiceAddress{}
	for tag, text := range given {
		host, port, err := net.SplitHostPort(text)
		if err != nil {
			addresses[tag] = catalog.ServiceAddress{Address: text}
			continue
		}
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("tagged address %s=%s: the port must be a number up to 65535", tag, text)
		}
		addresses[tag] = catalog.ServiceAddress{Address: host, Port: int(number)}
	}
	return addresses, nil
}

func registerServices(ctx context.Context, c *console, cn *connection, services []catalog.ServiceDefinition) error {
	cl, err := cn.client()
	if err != nil {
		return err
	}
	for _, s := range services {
		if err := cl.Put(ctx, "/v1/agent/service/register", nil, s); err != nil {
			return failf("Error registering service %q: %w", s.Name, err)
		}
		c.printf("Registered service: %s\n", s.Name)
	}
	return nil
}

func newServicesDeregister(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	id := fs.String("id", "", "The `id` of the service to remove.")
	return func(ctx context.Context, args []string) error {
		switch {
		case *id == "" && len(args) == 0:
			return usagef("Service deregistration requires at least one argument or -id.")
		case *id != "" && len(args) > 0:
			return usagef("Service deregistration requires arguments or -id, not both.")
		}
		services := []catalog.ServiceDefinition{{ID: *id}}
		if *id == "" {
			var err error
			if services, err = readDefinitions(args); err != nil {
				return failf("Error: %w", err)
			}
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		for _, s := range services {
			if err := deregister(ctx, cl, &s); err != nil {
				return err
			}
			c.printf("Deregistered service: %s\n", s.ID)
		}
		return nil
	}
}

// deregister removes a service by its id, which it sets to the name if there is none.
func deregister(ctx context.Context, cl *client.Client, s *catalog.ServiceDefinition) error {
	if s.ID == "" {
		s.ID = s.Name
	}
	if err := cl.Put(ctx, "/v1/agent/service/deregister/"+s.ID, nil, nil); err != nil {
		return failf("Error deregistering service %q: %w", s.Name, err)
	}
	return nil
}
