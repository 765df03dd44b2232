package health

import (
	"lictor/catalog"
)

// A kind is one type of check. Catalog's CheckDefinition.Type says which definition is of which.
type kind struct {
	name  string                                   // as Check.Type tells it
	start func(s *Scheduler, e *entry) (err error) // begins to run a check; must not block
}

// kinds lists the types of checks.
func kinds() []kind {
	return []kind{
		{catalog.TypeTTL, startTTL},
		{catalog.TypeAlias, startAlias},
		{catalog.TypeHTTP, every(newHTTP)},
		{catalog.TypeTCP, every(newTCP)},
		{catalog.TypeUDP, every(newUDP)},
		{catalog.TypeGRPC, every(newGRPC)},
		{catalog.TypeH2PING, every(newH2Ping)},
		{catalog.TypeScript, every(newScript)},
		{catalog.TypeDocker, every(newDocker)},
		{catalog.TypeOSService, every(newOSService)},
	}
}

// kindOf finds the type of a definition.
func kindOf(d *catalog.CheckDefinition) (kind, bool) {
	name := d.Type()
	for _, k := range kinds() {
		if k.name == name {
			return k, true
		}
	}
	return kind{}, false
}

// every makes a kind of check that is probed at intervals.
func every(build func(environment, *catalog.CheckDefinition) (prober, error)) func(*Scheduler, *entry) error {
	return func(s *Scheduler, e *entry) error {
		p, err := build(s.environment, e.Definition)
		if err != nil {
			return err
		}
		e.prober = p
		s.arm(e)
		return nil
	}
}
