package acl

import (
	"cmp"
	"slices"
	"strings"
)

// A ruleset is compiled rules: an answer costs a look-up of the name and, for each length that a prefix has, one of the
// beginning of the name.
type ruleset struct {
	exact    map[string]Level
	prefixes map[string]Level
	lengths  []int // of prefixes, the longest first
}

// compiled is the rules of some policies, by resource.
type compiled struct {
	named  map[Resource]*ruleset
	single map[Resource]Level
}

// compile merges rules: among those for the same name deny wins, then write, list and read.
func compile(rules []Rule) *compiled {
	c := &compiled{named: map[Resource]*ruleset{}, single: map[Resource]Level{}}
	for _, r := range rules {
		if unnamed[r.Resource] {
			c.single[r.Resource] = max(c.single[r.Resource], r.Level)
			continue
		}
		s := c.named[r.Resource]
		if s == nil {
			s = &ruleset{exact: map[string]Level{}, prefixes: map[string]Level{}}
			c.named[r.Resource] = s
		}
		if r.Prefix {
			s.prefixes[r.Name] = max(s.prefixes[r.Name], r.Level)
		} else {
			s.exact[r.Name] = max(s.exact[r.Name], r.Level)
		}
	}
	for _, s := range c.named {
		for prefix := range s.prefixes {
			s.lengths = append(s.lengths, len(prefix))
		}
		slices.SortFunc(s.lengths, func(a, b int) int { return cmp.Compare(b, a) })
		s.lengths = slices.Compact(s.lengths)
	}
	return c
}

// level is what the rules say of a name; unset if they say nothing. An exact rule counts more than any prefix, a longer
// prefix more than a shorter one.
func (s *ruleset) level(name string) Level {
	if s == nil {
		return unset
	}
	if l, ok := s.exact[name]; ok {
		return l
	}
	return s.prefixLevel(name)
}

func (s *ruleset) prefixLevel(name string) Level {
	for _, n := range s.lengths {
		if n <= len(name) {
			if l, ok := s.prefixes[name[:n]]; ok {
				return l
			}
		}
	}
	return unset
}

// allUnder tells whether every rule about names that begin with prefix gives the access.
func (s *ruleset) allUnder(prefix string, access Access) bool {
	if s == nil {
		return true
	}
	for _, names := range []map[string]Level{s.exact, s.prefixes} {
		for name, level := range names {
			if strings.HasPrefix(name, prefix) && !level.gives(access) {
				return false
			}
		}
	}
	return true
}

// level is what the rules say of a resource. Who may operate the cluster may operate its mesh and peerings, too, unless
// rules speak of these.
func (c *compiled) level(resource Resource, name string) Level {
	if !unnamed[resource] {
		return c.named[resource].level(name)
	}
	l := c.single[resource]
	if l == unset && (resource == Mesh || resource == Peering) {
		l = c.single[Operator]
	}
	return l
}

// allow tells whether the rules give an access; otherwise is what holds where they say nothing.
func (c *compiled) allow(resource Resource, name string, access Access, otherwise bool) bool {
	if access == WritePrefix && !unnamed[resource] {
		s := c.named[resource]
		if !s.allUnder(name, Write) {
			return false
		}
		if s != nil {
			if l := s.prefixLevel(name); l != unset {
				return l.gives(Write)
			}
		}
		return otherwise
	}
	if l := c.level(resource, name); l != unset {
		return l.gives(access)
	}
	return otherwise && resource != ACL // a default of allow does not hand out the keys
}
