package config

import "time"

// Queries is how long queries and sessions may last, and what the agent caches.
type Queries struct {
	DefaultTime       time.Duration `config:"default_query_time" debug:"DefaultQueryTime"`       // how long a blocking query waits that does not say
	MaxTime           time.Duration `config:"max_query_time" debug:"MaxQueryTime"`               // how long a blocking query may wait at most
	DiscoveryMaxStale time.Duration `config:"discovery_max_stale" debug:"DiscoveryMaxStale"`     // how stale an answer of service discovery may be; 0 asks the leader
	SessionTTLMin     time.Duration `config:"session_ttl_min" debug:"SessionTTLMin"`             // shortest TTL of a session
	Streaming         bool          `config:"use_streaming_backend" debug:"UseStreamingBackend"` // accepted; live results are always shared
	RPC               RPC           `config:"rpc"`
	Cache             Cache         `config:"cache"`
}

// RPC is what servers offer to clients.
type RPC struct {
	EnableStreaming bool `config:"enable_streaming" debug:"RPCConfigEnableStreaming"` // accepted; live results are always shared
}

// Cache bounds the agent's cache.
type Cache struct {
	MaxBurst int     `config:"entry_fetch_max_burst" debug:"CacheEntryFetchMaxBurst"` // fetches of one entry at once
	Rate     float64 `config:"entry_fetch_rate" debug:"CacheEntryFetchRate"`          // fetches of one entry a second; -1 means no limit
}

func defaultQueries() Queries {
	return Queries{
		DefaultTime: 5 * time.Minute, MaxTime: 10 * time.Minute, SessionTTLMin: 10 * time.Second, Streaming: true,
		RPC: RPC{EnableStreaming: true}, Cache: Cache{MaxBurst: 2, Rate: -1},
	}
}

func (q *Queries) check(r *report) {
	r.positive("default_query_time", q.DefaultTime)
	r.positive("max_query_time", q.MaxTime)
	r.notNegative("discovery_max_stale", q.DiscoveryMaxStale)
	r.notNegative("session_ttl_min", q.SessionTTLMin)
	atLeast(r, "cache.entry_fetch_max_burst", q.Cache.MaxBurst, 0)
}
