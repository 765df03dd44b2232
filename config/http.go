package config

import (
	"net/netip"
	"strings"
)

// HTTP is how the HTTP API behaves.
type HTTP struct {
	Config   HTTPConfig `config:"http_config"`
	Debug    bool       `config:"enable_debug" debug:"EnableDebug"`                                              // serve profiles under /debug/pprof, which otherwise takes ACLs and a token with operator:read
	NoFilter bool       `config:"disable_http_unprintable_char_filter" debug:"DisableHTTPUnprintableCharFilter"` // accept unprintable characters in paths

	WriteNetworks []netip.Prefix `config:"-"` // HTTPConfig.AllowWriteFrom, parsed
}

// HTTPConfig tunes the HTTP API.
type HTTPConfig struct {
	Block           []string          `config:"block_endpoints" debug:"HTTPBlockEndpoints"`       // prefixes of paths that are refused
	AllowedHosts    []string          `config:"allowed_hosts" debug:"AllowedHosts"`               // names at which browsers are answered besides this agent's own, such as "consul.example.com" or "*.example.com"
	AllowWriteFrom  []string          `config:"allow_write_http_from" debug:"AllowWriteHTTPFrom"` // networks that may change something; none means all
	ResponseHeaders map[string]string `config:"response_headers" debug:"HTTPResponseHeaders"`     // headers of every answer
	UseCache        bool              `config:"use_cache" debug:"HTTPUseCache"`                   // whether ?cached reads the agent's cache
	MaxHeaderBytes  int               `config:"max_header_bytes" debug:"HTTPMaxHeaderBytes"`      // bytes of headers in a request; 0 means 1 MiB
}

func defaultHTTP() HTTP { return HTTP{Config: HTTPConfig{UseCache: true}} }

func (h *HTTP) check(r *report) {
	h.WriteNetworks = r.networks("http_config.allow_write_http_from", h.Config.AllowWriteFrom)
	for _, host := range h.Config.AllowedHosts {
		if !onlyOf(strings.TrimPrefix(host, "*."), ".-_") {
			r.refuse("http_config.allowed_hosts", "holds %q, which is not a host name such as \"consul.example.com\" or \"*.example.com\", without a port", host)
		}
	}
	atLeast(r, "http_config.max_header_bytes", h.Config.MaxHeaderBytes, 0)
	for name, content := range h.Config.ResponseHeaders {
		if strings.ContainsAny(name, " \t\r\n:") || name == "" || strings.ContainsAny(content, "\r\n") {
			r.refuse("http_config.response_headers."+name, "is not a header that can be sent")
		}
	}
}
