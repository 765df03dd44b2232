package gossip

import (
	"strconv"
	"time"
)

// The tags as API clients see them in /v1/agent/members.
const (
	tagRole        = "role"
	tagDatacenter  = "dc"
	tagID          = "id"
	tagBuild       = "build"
	tagSegment     = "segment"
	tagVersion     = "vsn"
	tagVersionMin  = "vsn_min"
	tagVersionMax  = "vsn_max"
	tagRaftVersion = "raft_vsn"
	tagPort        = "port"
	tagWANPort     = "wan_join_port"
	tagGRPCPort    = "grpc_port"
	tagGRPCTLSPort = "grpc_tls_port"
	tagBootstrap   = "bootstrap"
	tagExpect      = "expect"
	tagACLs        = "acls"
	tagReadReplica = "read_replica"
	tagTLS         = "use_tls"
	tagFeature     = "ft_"

	roleServer = "consul"
	roleClient = "node"
	tagYes     = "1"
)

// Tags of this software's own, which travel in gossip but are kept out of Member.Tags.
const (
	tagClusterID        = "cid"
	tagReconnectTimeout = "rto"
	tagTransport        = "wt"
)

// Protocol versions that every agent of this release speaks.
const (
	protocolVersion    = 2
	protocolVersionMin = 2
	protocolVersionMax = 3
	raftVersion        = 3
)

// Tags is what an agent says of itself in gossip. A field that holds its zero value is not sent, but for Segment and
// the protocol versions.
type Tags struct {
	// Server tells servers from clients. The fields from Ports down to Features are sent by servers alone.
	Server     bool
	Datacenter string
	// ID is the node id, a UUID.
	ID string
	// Build is the release and its revision, as "1.21.4:abcdef12".
	Build   string
	Segment string
	// ClusterID is minted when a cluster is bootstrapped; agents of two clusters refuse each other. Empty, as on an agent
	// that has not joined yet, matches every cluster.
	ClusterID string
	// ReconnectTimeout is how long others wait for this agent when it failed; 0 leaves it to them.
	ReconnectTimeout time.Duration
	Versions         Versions

	Ports Ports
	// Transport is how this agent wants WAN gossip to travel.
	Transport Transport
	Bootstrap bool
	// Expect is bootstrap_expect.
	Expect int
	// ACLs is "0" for disabled, "1" for enabled.
	ACLs string
	// ReadReplica marks a server that never votes.
	ReadReplica bool
	TLS         bool
	// Features are the names of server features, sent as ft_NAME=1.
	Features []string
}

// Versions are the protocol versions of an agent. On encoding, zero fields become those of this release.
type Versions struct{ Current, Min, Max, Raft int }

// Ports are the ports of a server; 0 is a port that is not served.
type Ports struct{ Server, WAN, GRPC, GRPCTLS int }

// Encode returns the tag map that is gossiped.
func (t Tags) Encode() map[string]string {
	m := map[string]string{
		tagRole:       roleClient,
		tagDatacenter: t.Datacenter,
		tagID:         t.ID,
		tagBuild:      t.Build,
		tagSegment:    t.Segment,
	}
	putInt(m, tagVersion, orInt(t.Versions.Current, protocolVersion))
	putInt(m, tagVersionMin, orInt(t.Versions.Min, protocolVersionMin))
	putInt(m, tagVersionMax, orInt(t.Versions.Max, protocolVersionMax))
	if t.ClusterID != "" {
		m[tagClusterID] = t.ClusterID
	}
	if t.ReconnectTimeout > 0 {
		m[tagReconnectTimeout] = t.ReconnectTimeout.String()
	}
	if t.Server {
		t.encodeServer(m)
	}
	return m
}

func (t Tags) encodeServer(m map[string]string) {
	m[tagRole] = roleServer
	putInt(m, tagRaftVersion, orInt(t.Versions.Raft, raftVersion))
	putInt(m, tagPort, t.Ports.Server)
	putInt(m, tagWANPort, t.Ports.WAN)
	putInt(m, tagGRPCPort, t.Ports.GRPC)
	putInt(m, tagGRPCTLSPort, t.Ports.GRPCTLS)
	putInt(m, tagExpect, t.Expect)
	if t.Transport != OverUDP {
		m[tagTransport] = t.Transport.String()
	}
	putBool(m, tagBootstrap, t.Bootstrap)
	putBool(m, tagReadReplica, t.ReadReplica)
	putBool(m, tagTLS, t.TLS)
	if t.ACLs != "" {
		m[tagACLs] = t.ACLs
	}
	for _, f := range t.Features {
		m[tagFeature+f] = tagYes
	}
}

// ParseTags reads a tag map. It reports false for a member that is not of this kind of software at all: a role or a
// datacenter is missing or unknown. Malformed values of other tags read as zero.
func ParseTags(m map[string]string) (Tags, bool) {
	t := Tags{
		Server:     m[tagRole] == roleServer,
		Datacenter: m[tagDatacenter],
		ID:         m[tagID],
		Build:      m[tagBuild],
		Segment:    m[tagSegment],
		ClusterID:  m[tagClusterID],
		Versions: Versions{
			Current: getInt(m, tagVersion), Min: getInt(m, tagVersionMin),
			Max: getInt(m, tagVersionMax), Raft: getInt(m, tagRaftVersion),
		},
		Ports: Ports{
			Server: getPort(m, tagPort), WAN: getPort(m, tagWANPort),
			GRPC: getPort(m, tagGRPCPort), GRPCTLS: getPort(m, tagGRPCTLSPort),
		},
		Transport:   ParseTransport(m[tagTransport]),
		Bootstrap:   m[tagBootstrap] == tagYes,
		Expect:      getInt(m, tagExpect),
		ACLs:        m[tagACLs],
		ReadReplica: m[tagReadReplica] == tagYes,
		TLS:         m[tagTLS] == tagYes,
		Features:    features(m),
	}
	if d, err := time.ParseDuration(m[tagReconnectTimeout]); err == nil && d > 0 {
		t.ReconnectTimeout = d
	}
	ours := t.Datacenter != "" && (t.Server || m[tagRole] == roleClient)
	return t, ours
}

// publicTags returns m without the tags that API clients do not know. It copies, as serf shares its maps.
func publicTags(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		if k != tagClusterID && k != tagReconnectTimeout && k != tagTransport {
			out[k] = v
		}
	}
	return out
}

func putInt(m map[string]string, key string, v int) {
	if v != 0 {
		m[key] = strconv.Itoa(v)
	}
}

func putBool(m map[string]string, key string, v bool) {
	if v {
		m[key] = tagYes
	}
}

func orInt(v, def int) int {
	if v == 0 {
		return def
	}
	return v
}

func getInt(m map[string]string, key string) int {
	text := m[key]
	if text == "" {
		return 0 // most members have few tags, and an error costs more than the rest
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func getPort(m map[string]string, key string) int {
	if n := getInt(m, key); n <= 65535 {
		return n
	}
	return 0
}
