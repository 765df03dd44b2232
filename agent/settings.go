package agent

import (
	"context"
	"strings"

	"lictor/agent/local"
	"lictor/catalog"
	"lictor/config"
	"lictor/dnsserver"
	"lictor/health"
	"lictor/httpapi"
	"lictor/rpc"
	"lictor/view"
)

// dnsSettings are what the configuration says of DNS.
func (a *Agent) dnsSettings(c *config.Config) dnsserver.Settings {
	d := &c.DNS.Config
	return dnsserver.Settings{
		AllowStale: d.AllowStale, MaxStale: d.MaxStale, NodeTTL: d.NodeTTL, ServiceTTL: d.ServiceTTL, OnlyPassing: d.OnlyPassing,
		ARecordLimit: d.ARecordLimit, UDPAnswerLimit: d.UDPAnswerLimit, EnableTruncate: d.EnableTruncate,
		DisableCompression: d.DisableCompression, NodeMetaTXT: d.NodeMetaTXT, TranslateWANAddrs: c.Network.TranslateWAN,
		SOA:       dnsserver.SOA{Refresh: d.SOA.Refresh, Retry: d.SOA.Retry, Expire: d.SOA.Expire, MinTTL: d.SOA.MinTTL},
		Recursors: c.DNS.Recursors, RandomRecursor: d.RecursorStrategy == "random", RecursorTimeout: d.RecursorTimeout, Audit: a.questionAuditor(c),
	}
}

// httpRules are what the configuration says of who may ask for what.
func (a *Agent) httpRules(c *config.Config) httpapi.Rules {
	h := &c.HTTP.Config
	rules := httpapi.Rules{BlockEndpoints: h.Block, AllowWriteFrom: h.AllowWriteFrom, Audit: a.auditor(c)}
	rules.Rates, rules.Enforce = rates(&c.Limits.Requests)
	return rules
}

// localSettings are what the configuration says of registrations.
func (a *Agent) localSettings(c *config.Config) local.Settings {
	return local.Settings{CheckUpdateInterval: c.Checks.UpdateInterval, DiscardCheckOutput: c.Checks.DiscardOutput}
}

func definitionsOf(c *config.Config) local.Definitions {
	return local.Definitions{Services: c.Checks.Services, Checks: c.Checks.Checks}
}

// aliases tells checks that follow the checks of another node what those are.
type aliases struct{ agent *Agent }

// Aliased implements health.AliasSource.
func (s *aliases) Aliased(ctx context.Context, q health.AliasQuery) (health.AliasState, error) {
	node := q.Node
	if node == "" {
		node = s.agent.cfg.Node.Name
	}
	token := q.Token
	if token == "" {
		token = s.agent.secrets.get(tokenDefault)
	}
	opts := &view.Options{Header: rpc.Header{Token: token}}
	checks, err := view.Read(ctx, s.agent.views, catalog.NodeChecksQuery, opts, catalog.NodeChecks{Node: node})
	if err != nil {
		return health.AliasState{}, err
	}
	services, err := view.Read(ctx, s.agent.views, catalog.NodeServicesQuery, opts, catalog.OnNode{Node: node})
	if err != nil {
		return health.AliasState{}, err
	}
	found := services.Value().Node != nil && q.Service == ""
	for _, i := range services.Value().Services {
		found = found || i.ID == q.Service
	}
	// Whichever changes first ends the wait for both.
	ctx, cancel := context.WithCancel(ctx)
	follow := func(index uint64, read func(*view.Options)) {
		s.agent.running.Go(func() {
			defer cancel()
			read(&view.Options{Header: opts.Header, MinIndex: index})
		})
	}
	follow(checks.Index(), func(o *view.Options) {
		view.Read(ctx, s.agent.views, catalog.NodeChecksQuery, o, catalog.NodeChecks{Node: node})
	})
	follow(services.Index(), func(o *view.Options) {
		view.Read(ctx, s.agent.views, catalog.NodeServicesQuery, o, catalog.OnNode{Node: node})
	})
	return health.AliasState{Checks: checks.Value().Rows, Found: found, Changed: ctx.Done()}, nil
}

// cutBuild takes a member's build apart, "version:revision".
func cutBuild(build string) (version, revision string, ok bool) { return strings.Cut(build, ":") }
