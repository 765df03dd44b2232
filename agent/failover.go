package agent

import (
	"context"

	prepared "lictor/query"
	"lictor/rpc"
)

// otherDatacenters are where a server looks for what prepared queries do not find in its own.
type otherDatacenters struct{ agent *Agent }

// Nearest implements prepared.Remotes.
func (o otherDatacenters) Nearest() []string {
	var names []string
	for _, dc := range o.agent.datacenters() {
		if dc.Datacenter != o.agent.cfg.Node.Datacenter {
			names = append(names, dc.Datacenter)
		}
	}
	return names
}

// Search implements prepared.Remotes.
func (o otherDatacenters) Search(ctx context.Context, datacenter, token string, s *prepared.Search) (*prepared.Response, error) {
	return prepared.SearchMethod.Call(ctx, o.agent.caller, rpc.Header{Token: token, Datacenter: datacenter}, s)
}
