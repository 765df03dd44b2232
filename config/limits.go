package config

import "time"

// Limits bound what clients may ask for.
type Limits struct {
	HTTPMaxConns     int           `config:"http_max_conns_per_client" debug:"HTTPMaxConnsPerClient"` // connections of one address to the HTTP API; 0 means no limit
	HTTPSHandshake   time.Duration `config:"https_handshake_timeout" debug:"HTTPSHandshakeTimeout"`   // how long a client may take for its TLS handshake
	Requests         RequestLimits `config:"request_limits"`
	RPCClientTimeout time.Duration `config:"rpc_client_timeout" debug:"RPCClientTimeout"`           // how long a call to a server may take beside its waiting
	RPCHandshake     time.Duration `config:"rpc_handshake_timeout" debug:"RPCHandshakeTimeout"`     // how long an agent may take to say what it speaks
	RPCMaxBurst      int           `config:"rpc_max_burst" debug:"RPCMaxBurst"`                     // calls beyond rpc_rate that may come at once
	RPCMaxConns      int           `config:"rpc_max_conns_per_client" debug:"RPCMaxConnsPerClient"` // connections of one address to a server
	RPCRate          float64       `config:"rpc_rate" debug:"RPCRateLimit"`                         // calls a second that this agent makes to servers; -1 means no limit
	KVMaxValueSize   uint64        `config:"kv_max_value_size" debug:"KVMaxValueSize"`              // bytes of the largest value of a key
	TxnMaxReqLen     uint64        `config:"txn_max_req_len" debug:"TxnMaxReqLen"`                  // bytes of the largest transaction
}

// RequestLimits bound the calls that a server takes.
type RequestLimits struct {
	Mode      string  `config:"mode" debug:"RequestLimitsMode"`            // disabled, permissive (only logs) or enforcing
	ReadRate  float64 `config:"read_rate" debug:"RequestLimitsReadRate"`   // reads a second; -1 means no limit
	WriteRate float64 `config:"write_rate" debug:"RequestLimitsWriteRate"` // writes a second; -1 means no limit

	SourceReadRate  float64 `config:"source_read_rate" debug:"RequestLimitsSourceReadRate"`   // reads a second from one address; -1 means no limit
	SourceWriteRate float64 `config:"source_write_rate" debug:"RequestLimitsSourceWriteRate"` // writes a second from one address; -1 means no limit
}

// Sizes that are safe to replicate in one log entry.
const (
	defaultMaxValue = 512 << 10
	suggestedMax    = 1 << 20
)

func defaultLimits() Limits {
	return Limits{
		HTTPMaxConns: 200, HTTPSHandshake: 5 * time.Second, Requests: RequestLimits{Mode: "disabled", ReadRate: -1, WriteRate: -1, SourceReadRate: -1, SourceWriteRate: -1},
		RPCClientTimeout: time.Minute, RPCHandshake: 5 * time.Second, RPCMaxBurst: 1000, RPCMaxConns: 100, RPCRate: -1,
		KVMaxValueSize: defaultMaxValue, TxnMaxReqLen: defaultMaxValue,
	}
}

func (l *Limits) check(r *report) {
	atLeast(r, "limits.http_max_conns_per_client", l.HTTPMaxConns, 0)
	atLeast(r, "limits.rpc_max_conns_per_client", l.RPCMaxConns, 0)
	atLeast(r, "limits.rpc_max_burst", l.RPCMaxBurst, 0)
	r.notNegative("limits.https_handshake_timeout", l.HTTPSHandshake)
	r.notNegative("limits.rpc_client_timeout", l.RPCClientTimeout)
	r.notNegative("limits.rpc_handshake_timeout", l.RPCHandshake)
	r.oneOf("limits.request_limits.mode", l.Requests.Mode, "disabled", "permissive", "enforcing")
	if l.KVMaxValueSize > suggestedMax {
		r.warn("limits.kv_max_value_size is above 1 MiB: large values delay the heartbeats of servers")
	}
	if l.TxnMaxReqLen < l.KVMaxValueSize && r.isSet("limits.txn_max_req_len") {
		r.warn("limits.txn_max_req_len is smaller than limits.kv_max_value_size: a value of that size fits no transaction")
	}
	if !r.isSet("limits.txn_max_req_len") {
		l.TxnMaxReqLen = max(l.TxnMaxReqLen, l.KVMaxValueSize)
	}
}
