package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lictor/configentry"
)

// Mesh is the service mesh.
type Mesh struct {
	Connect       Connect       `config:"connect"`
	XDS           XDS           `config:"xds"`
	ConfigEntries ConfigEntries `config:"config_entries"`
	Intentions    string        `config:"default_intention_policy" debug:"DefaultIntentionPolicy"`          // allow or deny what no intention speaks of; by default as acl.default_policy
	Central       bool          `config:"enable_central_service_config" debug:"EnableCentralServiceConfig"` // apply central defaults to services
}

// Connect is the certificate authority and what belongs to it.
type Connect struct {
	Enabled      bool           `config:"enabled" debug:"ConnectEnabled"`                                                    // run the certificate authority
	CAProvider   string         `config:"ca_provider" debug:"ConnectCAProvider"`                                             // consul, vault or aws-pca
	CAConfig     map[string]any `config:"ca_config" debug:"ConnectCAConfig,secret"`                                          // settings of the provider
	WANGateways  bool           `config:"enable_mesh_gateway_wan_federation" debug:"ConnectMeshGatewayWANFederationEnabled"` // reach other datacenters through gateways only
	DeregisterIn time.Duration  `config:"default_deregister_critical_service_after"`                                         // when gateways and proxies in bad health are deregistered
	TestSpread   time.Duration  `config:"test_ca_leaf_root_change_spread"`                                                   // for tests: over what time leaves are renewed after a new root
}

// XDS is how proxies are told their settings.
type XDS struct {
	UpdateRate float64 `config:"update_max_per_second" debug:"XDSUpdateRateLimit"` // updates of proxies a second
}

// ConfigEntries are entries that the first leader writes.
type ConfigEntries struct {
	Bootstrap []map[string]any `config:"bootstrap" debug:"ConfigEntryBootstrap"` // configuration entries that are written where they do not exist
}

// Peering joins clusters that stay apart.
type Peering struct {
	Enabled   bool `config:"enabled" debug:"PeeringEnabled"`                                          // allow peering with other clusters
	TestAllow bool `config:"test_allow_peer_registrations" debug:"PeeringTestAllowPeerRegistrations"` // for tests: register in the name of a peer
}

func defaultMesh() Mesh {
	return Mesh{Connect: Connect{Enabled: true, CAProvider: "consul"}, XDS: XDS{UpdateRate: 250}, Central: true}
}

// entryKinds are the kinds of configuration entries.
const entryKinds = `service-defaults proxy-defaults service-router service-splitter service-resolver ingress-gateway
	terminating-gateway service-intentions mesh exported-services sameness-group api-gateway bound-api-gateway
	inline-certificate file-system-certificate http-route tcp-route jwt-provider`

func (m *Mesh) check(r *report) {
	if m.Connect.CAProvider != "" {
		r.oneOf("connect.ca_provider", m.Connect.CAProvider, "consul", "vault", "aws-pca")
	}
	if m.Intentions != "" {
		r.oneOf("default_intention_policy", m.Intentions, "allow", "deny")
	}
	r.notNegative("connect.test_ca_leaf_root_change_spread", m.Connect.TestSpread)
	atLeast(r, "xds.update_max_per_second", m.XDS.UpdateRate, 0)
	kinds := strings.Fields(entryKinds)
	for i, entry := range m.ConfigEntries.Bootstrap {
		var kind any
		for name, content := range entry {
			if strings.EqualFold(name, "kind") {
				kind = content
			}
		}
		if name, ok := kind.(string); ok && slices.Contains(kinds, name) {
			e, err := configentry.Parse(entry)
			if err == nil {
				err = configentry.Check(e)
			}
			if err != nil {
				r.refuse("config_entries.bootstrap", "entry %d (%s): %v", i, name, err)
			}
			continue
		}
		has := "no kind"
		if kind != nil {
			has = fmt.Sprintf("the kind %v", kind)
		}
		r.refuse("config_entries.bootstrap", "entry %d has %s, but must have one of: %s", i, has, strings.Join(kinds, ", "))
	}
}
