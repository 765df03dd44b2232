package watch

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A Definition is a watch of a configuration: what to follow, as whom, and what to do for each change.
type Definition struct {
	Query
	Datacenter string // "" is the agent's own
	Token      string
	Stale      bool
	Handler    Handler
}

// DefaultTimeout is how long an HTTP handler may take that says nothing else.
const DefaultTimeout = 10 * time.Second

// Parse reads a watch as configuration files have it. The error says which parameter is wrong, and what is allowed.
func Parse(parameters map[string]any) (Definition, error) {
	var d Definition
	p := &reader{left: maps.Clone(parameters)}
	p.text("type", &d.Type)
	p.text("key", &d.Key)
	p.text("prefix", &d.Prefix)
	p.text("name", &d.Name)
	p.text("service", &d.Service)
	p.text("service_id", &d.ServiceID)
	p.texts("tag", &d.Tags)
	p.flag("passingonly", &d.PassingOnly)
	p.text("state", &d.State)
	p.text("filter", &d.Filter)
	p.text("datacenter", &d.Datacenter)
	p.text("token", &d.Token)
	p.flag("stale", &d.Stale)
	d.Handler = p.handler()
	for name := range p.left {
		p.refuse("Invalid parameters: [%s]: a watch has no such parameter", name)
	}
	if p.err == nil {
		_, p.err = d.kind()
	}
	if d.Type != "" && !slices.Contains(Types(), d.Type) {
		p.err = fmt.Errorf("Unsupported watch type: %s; allowed are %s", d.Type, strings.Join(Types(), ", "))
	}
	return d, p.err
}

// A reader takes parameters one by one, and keeps the first error.
type reader struct {
	left map[string]any
	err  error
}

func (p *reader) refuse(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

// take removes a parameter and tells whether it was there.
func (p *reader) take(name string) (any, bool) {
	value, ok := p.left[name]
	delete(p.left, name)
	return value, ok && value != nil
}

func (p *reader) text(name string, to *string) {
	if value, ok := p.take(name); ok {
		if *to, ok = value.(string); !ok {
			p.refuse("Expecting %s to be a string", name)
		}
	}
}

func (p *reader) flag(name string, to *bool) {
	if value, ok := p.take(name); ok {
		if *to, ok = value.(bool); !ok {
			p.refuse("Expecting %s to be a boolean", name)
		}
	}
}

// texts takes a list of strings, or a single one.
func (p *reader) texts(name string, to *[]string) {
	value, ok := p.take(name)
	if !ok {
		return
	}
	switch v := value.(type) {
	case string:
		*to = []string{v}
	case []any:
		for i, one := range v {
			text, ok := one.(string)
			if !ok {
				p.refuse("Index %d of %s expected to be string", i, name)
			}
			*to = append(*to, text)
		}
	default:
		p.refuse("Expecting %s to be a string or []string", name)
	}
}

// handler takes what says what to do for a change.
func (p *reader) handler() Handler {
	var line, kind string
	var args []string
	p.text("handler", &line)
	p.text("handler_type", &kind)
	if value, ok := p.left["args"]; ok {
		if _, list := value.([]any); !list {
			p.refuse("Watch args must be a list of strings")
		}
	}
	p.texts("args", &args)
	settings, isHTTP := p.take("http_handler_config")
	if kind == "" && isHTTP {
		kind = "http"
	}
	switch {
	case kind == "http" && (line != "" || args != nil):
		p.refuse("Only one watch handler allowed: handler_type is http, so neither handler nor args")
	case kind == "http" && !isHTTP:
		p.refuse("Handler type 'http' requires 'http_handler_config' to be set")
	case kind == "http":
		return p.http(settings)
	case kind != "" && kind != "script":
		p.refuse("Handler type '%s' not recognized: allowed are script and http", kind)
	case isHTTP:
		p.refuse("Only one watch handler allowed: http_handler_config needs handler_type http")
	case line != "" && len(args) > 0:
		p.refuse("Only one watch handler allowed: give either args or handler")
	case line == "" && (len(args) == 0 || args[0] == ""):
		p.refuse("Must define a watch handler: args, handler or http_handler_config")
	}
	return &Script{Line: line, Args: args}
}

func (p *reader) http(settings any) Handler {
	h := &HTTP{Method: http.MethodPost, Timeout: DefaultTimeout}
	table, err := oneTable(settings)
	if err != nil {
		p.refuse("Failed to parse 'http_handler_config': %w", err)
		return h
	}
	inner := &reader{left: maps.Clone(table)}
	var timeout string
	inner.text("path", &h.URL)
	inner.text("method", &h.Method)
	inner.text("timeout", &timeout)
	inner.flag("tls_skip_verify", &h.SkipVerify)
	h.Header = inner.header()
	for name := range inner.left {
		inner.refuse("it has no %s; allowed are path, method, timeout, header and tls_skip_verify", name)
	}
	if timeout != "" {
		if h.Timeout, err = time.ParseDuration(timeout); err != nil || h.Timeout <= 0 {
			inner.refuse("Failed to parse timeout: %q must be a duration such as \"10s\"", timeout)
		}
	}
	inner.checkURL(h.URL)
	if h.Method == "" {
		h.Method = http.MethodPost
	}
	if _, err := http.NewRequest(h.Method, "http://x", nil); err != nil {
		inner.refuse("method %q is not one of HTTP", h.Method)
	}
	if inner.err != nil {
		p.refuse("Failed to parse 'http_handler_config': %w", inner.err)
	}
	return h
}

func (p *reader) checkURL(address string) {
	if address == "" {
		p.refuse("Requires 'path' to be set")
		return
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		p.refuse("path %q must be a URL with http or https", address)
	}
}

// header takes an object of lists of strings.
func (p *reader) header() http.Header {
	value, ok := p.take("header")
	if !ok {
		return nil
	}
	table, err := oneTable(value)
	if err != nil {
		p.refuse("header: %w", err)
		return nil
	}
	out := http.Header{}
	lists := &reader{left: maps.Clone(table)}
	for name := range table {
		var values []string
		lists.texts(name, &values)
		for _, v := range values {
			out.Add(name, v)
		}
	}
	if lists.err != nil {
		p.refuse("header: %w", lists.err)
	}
	return out
}

// oneTable is an object, which HCL has as a list of one.
func oneTable(value any) (map[string]any, error) {
	switch v := value.(type) {
	case map[string]any:
		return v, nil
	case []any:
		if len(v) == 1 {
			return oneTable(v[0])
		}
	case []map[string]any:
		if len(v) == 1 {
			return v[0], nil
		}
	}
	return nil, errors.New("it must be one object")
}
