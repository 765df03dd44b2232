package local

import (
	"fmt"

	"lictor/catalog"
)

// normalService completes a definition: its id, and its checks in one list with their ids, names and tokens. The result
// shares nothing with d that this package changes.
func normalService(d *catalog.ServiceDefinition) *catalog.ServiceDefinition {
	n := *d
	n.ID = d.Identity()
	n.Check, n.Checks = nil, nil
	for _, c := range d.AllChecks() {
		copied := *c
		n.Checks = append(n.Checks, &copied)
	}
	for i, c := range n.Checks {
		c.ServiceID = n.ID
		if c.ID == "" {
			c.ID = c.CheckID
		}
		if c.ID == "" && len(n.Checks) == 1 {
			c.ID = "service:" + n.ID
		}
		if c.ID == "" {
			c.ID = fmt.Sprintf("service:%s:%d", n.ID, i+1)
		}
		if c.Name == "" {
			c.Name = "Service '" + n.Name + "' check"
		}
		if c.Token == "" {
			c.Token = n.Token
		}
	}
	return &n
}

// normalCheck completes a definition that does not stand in that of a service.
func normalCheck(d *catalog.CheckDefinition) *catalog.CheckDefinition {
	n := *d
	n.ID = d.Identity()
	return &n
}

// instanceOf is the row of a completed definition.
func instanceOf(d *catalog.ServiceDefinition, node string) *catalog.Instance {
	row := d.Instance(node)
	row.Tags = append([]string{}, row.Tags...)
	return row
}

// checkOf is the row of a completed definition. Of what stands in the definition of a service, periods that are not
// given are empty; of what was registered alone they are zero.
func checkOf(d *catalog.CheckDefinition, node string, of *catalog.Instance, alone bool) *catalog.Check {
	row := d.Check(node, of)
	row.CheckID = d.ID
	row.ServiceTags = append([]string{}, row.ServiceTags...)
	if !alone && d.Interval == 0 {
		row.Interval = ""
	}
	if !alone && d.Timeout == 0 {
		row.Timeout = ""
	}
	return row
}
