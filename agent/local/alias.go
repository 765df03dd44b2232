package local

import (
	"fmt"

	"lictor/catalog"
)

// aliases are the checks that take over the health of a service of this agent, by its id, or of this node, by "".
type aliases map[string]map[*check]bool

func (a aliases) add(target string, c *check) {
	if a[target] == nil {
		a[target] = map[*check]bool{}
	}
	a[target][c] = true
}

func (a aliases) remove(target string, c *check) {
	delete(a[target], c)
	if len(a[target]) == 0 {
		delete(a, target)
	}
}

// aliasOf tells of an alias check of this agent's own things what it stands for. Those of other nodes are run.
func (s *State) aliasOf(d *catalog.CheckDefinition) (target string, ok bool) {
	own := d.AliasNode == "" || d.AliasNode == s.Node.Node || d.AliasNode == s.Node.ID
	return d.AliasService, d.Type() == catalog.TypeAlias && own
}

// refresh brings the aliases of a service up to date, or those of the node. The caller holds mu.
func (s *State) refresh(target string) {
	if s.refreshing[target] { // aliases that stand for one another
		return
	}
	s.refreshing[target] = true
	defer delete(s.refreshing, target)
	for c := range s.alias[target] {
		s.follow(c, target)
	}
}

// follow gives an alias the state of what it stands for.
func (s *State) follow(c *check, target string) {
	status, output := s.healthOf(target, c)
	s.apply(c, status, output)
}

// healthOf is the worst state among the checks of a service of this agent, or of this node, apart from one of them.
func (s *State) healthOf(target string, except *check) (status, output string) {
	var all map[string]*check
	if target == "" {
		all = s.table.nodeChecks
	} else if e := s.table.service(target); e != nil {
		all = e.checks
	} else {
		return catalog.Critical, fmt.Sprintf("Service %s could not be found on node %s", target, s.Node.Node)
	}
	status, output = catalog.Passing, "No checks found."
	if target == "" {
		output = allPassing // serfHealth: this agent is alive
	}
	for _, id := range sortedKeys(all) {
		c := all[id]
		if c == except {
			continue
		}
		switch c.row.Status {
		case catalog.Critical:
			return catalog.Critical, failing(c)
		case catalog.Warning:
			status, output = catalog.Warning, failing(c)
		case catalog.Passing:
			if status == catalog.Passing {
				output = allPassing
			}
		}
	}
	return status, output
}

const allPassing = "All checks passing."

func failing(c *check) string {
	return fmt.Sprintf("Aliased check %q failing: %s", c.row.Name, c.row.Output)
}
