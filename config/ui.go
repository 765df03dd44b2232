package config

import (
	"encoding/json"
	"net/url"
	"path"
	"strings"
)

// UI is the web interface.
type UI struct {
	Enabled       bool              `config:"enabled" debug:"Enabled"`                                          // serve the web interface
	Dir           string            `config:"dir" debug:"Dir"`                                                  // directory of an interface of one's own
	ContentPath   string            `config:"content_path" debug:"ContentPath"`                                 // path below which it is served
	Provider      string            `config:"metrics_provider" debug:"MetricsProvider"`                         // what metrics are drawn from, such as prometheus
	ProviderFiles []string          `config:"metrics_provider_files" debug:"MetricsProviderFiles"`              // scripts of a provider of one's own
	ProviderJSON  string            `config:"metrics_provider_options_json" debug:"MetricsProviderOptionsJSON"` // options of the provider, a JSON object
	Proxy         MetricsProxy      `config:"metrics_proxy" debug:"MetricsProxy"`
	DashboardURLs map[string]string `config:"dashboard_url_templates" debug:"DashboardURLTemplates"` // links to dashboards, by what they are of
}

// A MetricsProxy lets the web interface reach metrics through the agent.
type MetricsProxy struct {
	BaseURL   string        `config:"base_url" debug:"BaseURL"`             // where metrics are
	Headers   []ProxyHeader `config:"add_headers" debug:"AddHeaders"`       // headers that are added to requests
	Allowlist []string      `config:"path_allowlist" debug:"PathAllowlist"` // paths below base_url that may be reached
}

// A ProxyHeader is a header that is added to requests.
type ProxyHeader struct {
	Name  string `config:"name" debug:"Name"`          // name of the header
	Value string `config:"value" debug:"Value,secret"` // content of the header
}

func (u *UI) check(r *report) {
	if !strings.HasPrefix(u.ContentPath, "/") {
		u.ContentPath = "/" + u.ContentPath
	}
	if !strings.HasSuffix(u.ContentPath, "/") {
		u.ContentPath += "/"
	}
	r.matches("ui_config.content_path", u.ContentPath, `^/[A-Za-z0-9/_-]*/?$`, "a path of letters, digits, dashes and underscores")
	if u.Enabled && u.Dir != "" && r.isSet("ui_config.enabled") { // -dev alone gives way
		r.refuse("ui_config.dir", "cannot be used together with ui_config.enabled")
	}
	if u.Provider != "" {
		r.matches("ui_config.metrics_provider", u.Provider, `^[a-z][a-z0-9_-]*$`, "lower-case letters, digits, dashes and underscores")
	}
	var options map[string]any
	if u.ProviderJSON != "" && json.Unmarshal([]byte(u.ProviderJSON), &options) != nil {
		r.refuse("ui_config.metrics_provider_options_json", "must be a JSON object")
	}
	if u.Proxy.BaseURL != "" && !webAddress(u.Proxy.BaseURL) {
		r.refuse("ui_config.metrics_proxy.base_url", "is %q, but must be a URL with http or https", u.Proxy.BaseURL)
	}
	for _, p := range u.Proxy.Allowlist {
		if !path.IsAbs(p) || path.Clean(p) != p {
			r.refuse("ui_config.metrics_proxy.path_allowlist", "holds %q, which is not a clean absolute path", p)
		}
	}
	for name, link := range u.DashboardURLs {
		if !webAddress(link) {
			r.refuse("ui_config.dashboard_url_templates."+name, "is %q, but must be a URL with http or https", link)
		}
	}
}

// webAddress says whether a text starts like an address of the web. The rest may be a template.
func webAddress(text string) bool {
	scheme, rest, _ := strings.Cut(text, "://")
	if rest == "" || scheme != "http" && scheme != "https" {
		return false
	}
	if strings.Contains(text, "{{") {
		return true
	}
	_, err := url.Parse(text)
	return err == nil
}
