package agent

import (
	"context"
	"slices"

	prepared "lictor/query"
	"lictor/rpc"
)

// otherDatacenters are where a server looks for what prepared queries do not find in its own.
type otherDatacenters struct{ agent *Agent }

// Nearest implements prepared.Remotes.
func (o otherDatacenters) Nearest() []string {
	own := o.agent.cfg.Node.Datacenter
	return slices.DeleteFunc(o.agent.datacenterNames(), func(dc string) bool { return dc == own })
}

// Search implements prepared.Remotes.
func (o otherDatacenters) Search(ctx context.Context, datacenter, token string, s *prepared.Search) (*prepared.Response, error) {
	return prepared.SearchMethod.Call(ctx, o.agent.caller, rpc.Header{Token: token, Datacenter: datacenter}, s)
}
