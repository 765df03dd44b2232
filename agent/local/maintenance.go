package local

import (
	"context"

	"lictor/catalog"
)

// Maintenance is a critical check that stands for itself.
const (
	maintenanceType          = "maintenance"
	nodeMaintenance          = "_node_maintenance"
	serviceMaintenancePrefix = "_service_maintenance:"

	defaultNodeReason    = "Maintenance mode is enabled for this node, but no reason was provided. This is a default message."
	defaultServiceReason = "Maintenance mode is enabled for this service, but no reason was provided. This is a default message."
)

// SetServiceMaintenance takes a service out of service, or back. The reason "" stands for a default text; that of a
// maintenance that is on already does not change.
func (s *State) SetServiceMaintenance(ctx context.Context, id string, on bool, reason, token string) error {
	defer s.settle(ctx)
	s.registering.Lock()
	defer s.registering.Unlock()
	row, _ := s.Service(id)
	if row == nil {
		return UnknownService(id)
	}
	return s.maintain(on, token, &catalog.CheckDefinition{
		ID: serviceMaintenancePrefix + id, Name: "Service Maintenance Mode", ServiceID: id,
		Notes: firstOf(reason, defaultServiceReason), Status: catalog.Critical,
	})
}

// SetNodeMaintenance takes the whole node out of service, or back, with the reason as SetServiceMaintenance has it.
func (s *State) SetNodeMaintenance(ctx context.Context, on bool, reason, token string) error {
	defer s.settle(ctx)
	s.registering.Lock()
	defer s.registering.Unlock()
	return s.maintain(on, token, &catalog.CheckDefinition{
		ID: nodeMaintenance, Name: "Node Maintenance Mode",
		Notes: firstOf(reason, defaultNodeReason), Status: catalog.Critical,
	})
}

// maintain enters or removes the check of a maintenance. The caller holds registering.
func (s *State) maintain(on bool, token string, d *catalog.CheckDefinition) error {
	if there := s.CheckRow(d.ID) != nil; there == on {
		return nil
	}
	if !on {
		return s.removeCheck(d.ID)
	}
	c := s.maintenance(d, token)
	if err := s.keepCheck(d, c.row, token); err != nil {
		return err
	}
	return s.install(c, false)
}

func (s *State) maintenance(d *catalog.CheckDefinition, token string) *check {
	of, _ := s.Service(d.ServiceID)
	c := &check{def: d, row: checkOf(d, s.Node.Node, of, false)}
	c.row.Type = maintenanceType
	c.source, c.token = API, token
	return c
}
