package main

import (
	"context"
	"flag"
	"maps"
	"net/url"
	"slices"
	"strconv"
)

// A usage counts what a datacenter holds, from /v1/operator/usage.
type usage struct {
	Nodes                    int
	Services                 int
	ServiceInstances         int
	ConnectServiceInstances  map[string]int
	BillableServiceInstances int
}

// usageOptions are the flags of operator usage instances.
type usageOptions struct{ billable, connect, all bool }

func newUsageInstances(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	var o usageOptions
	fs.BoolVar(&o.billable, "billable", false, "Print the count of services only.")
	fs.BoolVar(&o.connect, "connect", false, "Print the count of instances that take part in the mesh only.")
	fs.BoolVar(&o.all, "all-datacenters", false, "Count all datacenters.")
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		cl, err := cn.client()
		if err != nil {
			return err
		}
		q := url.Values{}
		if o.all {
			q.Set("global", "")
		}
		var answer struct{ Usage map[string]usage }
		if err := cl.Get(ctx, "/v1/operator/usage", q, &answer); err != nil {
			return failf("Error fetching usage information: %w", err)
		}
		o.print(c, answer.Usage)
		return nil
	}
}

func (o usageOptions) print(c *console, by map[string]usage) {
	both := o.billable == o.connect
	names := slices.Sorted(maps.Keys(by))
	if both || o.billable {
		o.printBillable(c, names, by)
	}
	if both {
		printNodes(c, names, by)
	}
	if both || o.connect {
		o.printConnect(c, names, by)
	}
}

func (o usageOptions) printBillable(c *console, names []string, by map[string]usage) {
	services, instances := 0, 0
	table := o.head("Services", "Service instances")
	for _, name := range names {
		u := by[name]
		services, instances = services+u.Services, instances+u.BillableServiceInstances
		table = append(table, o.row(name, strconv.Itoa(u.Services), strconv.Itoa(u.BillableServiceInstances)))
	}
	c.printf("Billable Service Instances Total: %d\n", instances)
	for _, name := range names {
		c.printf("%s Billable Service Instances: %d\n", name, by[name].BillableServiceInstances)
	}
	c.printf("\nBillable Services\n")
	if o.all {
		table = append(table, nil, o.row("Total", strconv.Itoa(services), strconv.Itoa(instances)))
	}
	c.columns(table)
	c.printf("\n\n")
}

func printNodes(c *console, names []string, by map[string]usage) {
	total := 0
	table := [][]string{{"Datacenter", "Count"}}
	for _, name := range names {
		total += by[name].Nodes
		table = append(table, []string{name, strconv.Itoa(by[name].Nodes)})
	}
	c.printf("Nodes\n")
	c.columns(append(table, nil, []string{"Total", strconv.Itoa(total)}))
	c.printf("\n\n")
}

func (o usageOptions) printConnect(c *console, names []string, by map[string]usage) {
	total := 0
	table := o.head("Type", "Service instances")
	for _, name := range names {
		for _, kind := range slices.Sorted(maps.Keys(by[name].ConnectServiceInstances)) {
			n := by[name].ConnectServiceInstances[kind]
			total += n
			table = append(table, o.row(name, kind, strconv.Itoa(n)))
		}
	}
	if o.all {
		table = append(table, nil, o.row("Total", "", strconv.Itoa(total)))
	}
	c.printf("Connect Services\n")
	c.columns(table)
}

// head and row are a line of a table; the datacenter stands before it if there may be several.
func (o usageOptions) head(cells ...string) [][]string {
	return [][]string{o.row("Datacenter", cells...)}
}

func (o usageOptions) row(datacenter string, cells ...string) []string {
	if o.all {
		return append([]string{datacenter}, cells...)
	}
	return cells
}
