// Package client talks to the HTTP API of an agent on behalf of the command line. It knows addresses (TCP, TLS, unix
// sockets), tokens, the query parameters that every request shares, and how an agent reports errors. It knows nothing
// of single endpoints and nothing of flags or the environment.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// DefaultAddress is where an agent listens that was not told otherwise.
const DefaultAddress = "127.0.0.1:8500"

// Config says which agent to talk to, and how. The zero value means an agent at DefaultAddress.
type Config struct {
	// Address is host:port, or the same with http:// or https:// before it, or unix:// and the path of a socket.
	Address string
	// Token is sent with every request unless it is empty.
	Token string
	// User and Password are sent as basic authentication unless User is empty.
	User, Password string
	// Namespace, Datacenter and Stale become the query parameters ns, dc and stale of every request.
	Namespace, Datacenter string
	Stale                 bool
	// TLS is used if Secure is set or Address begins with https://.
	Secure bool
	TLS    TLS
	// Hint is handed on in Unreachable: what the user may do if nothing answers at Address.
	Hint string
}

// A Client sends requests to one agent. It may be used by several goroutines.
type Client struct {
	config Config
	base   url.URL
	http   *http.Client
}

// New makes a client. It reads the certificates that the configuration names and connects to nothing.
func New(config Config) (*Client, error) {
	c := &Client{config: config, http: &http.Client{}}
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	transport := &http.Transport{DialContext: dialer.DialContext, Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 10 * time.Second}
	c.http.Transport = transport

	scheme, rest, found := strings.Cut(config.Address, "://")
	switch {
	case !found:
		scheme, rest = "http", config.Address
		if config.Secure {
			scheme = "https"
		}
	case scheme == "unix":
		socket := rest
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
		scheme, rest = "http", "unix-socket"
	case scheme != "http" && scheme != "https":
		return nil, fmt.Errorf("unknown scheme %q in the agent's address %q: allowed are http, https and unix", scheme, config.Address)
	}
	if rest == "" {
		rest = DefaultAddress
	}
	host, prefix, _ := strings.Cut(rest, "/")
	c.base = url.URL{Scheme: scheme, Host: host}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		c.base.Path = "/" + prefix
	}
	if scheme == "https" {
		settings, err := config.TLS.settings()
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig = settings
	}
	return c, nil
}

// A Request is one call of the API. Query may be nil. Body is sent as it is.
type Request struct {
	Method, Path string
	Query        url.Values
	Body         io.Reader
}

// Do sends a request and returns the answer, whose body the caller closes. An answer other than 200 becomes a
// *Status; an agent that cannot be reached becomes an *Unreachable.
func (c *Client) Do(ctx context.Context, r Request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, c.url(r), r.Body)
	if err != nil {
		return nil, err
	}
	if c.config.Token != "" {
		req.Header.Set("X-Consul-Token", c.config.Token)
	}
	if c.config.User != "" {
		req.SetBasicAuth(c.config.User, c.config.Password)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return nil, &Status{Code: res.StatusCode, Text: strings.TrimSpace(string(text)), header: res.Header}
}

// explain adds to a failure what can be done about it.
func (c *Client) explain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return &Unreachable{Err: err, Hint: c.config.Hint}
	}
	if c.base.Scheme == "http" && strings.Contains(err.Error(), "malformed HTTP response") {
		return &Unreachable{Err: err, Hint: "This may be a TLS port: write https:// before the address, or set CONSUL_HTTP_SSL=true."}
	}
	return err
}

// url is a request's address. A path that an HTTP server would tidy up keeps its odd segments percent-encoded.
func (c *Client) url(r Request) string {
	u := c.base
	u.Path = c.base.Path + r.Path
	u.RawPath = escapePath(u.Path)
	q := url.Values{}
	for k, v := range r.Query {
		q[k] = v
	}
	if c.config.Datacenter != "" && !q.Has("dc") {
		q.Set("dc", c.config.Datacenter)
	}
	if c.config.Namespace != "" {
		q.Set("ns", c.config.Namespace)
	}
	if c.config.Stale {
		q.Set("stale", "")
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// escapePath is the encoded form of a path with empty or dotted segments, whose slashes and dots must not be read as
// structure, and empty for all other paths.
func escapePath(p string) string {
	if clean := path.Clean(p); clean == p || clean+"/" == p {
		return ""
	}
	head, key := p, ""
	if at := strings.Index(p, "/kv/"); at >= 0 {
		head, key = p[:at+len("/kv/")], p[at+len("/kv/"):]
	}
	return (&url.URL{Path: head}).EscapedPath() + strings.ReplaceAll(url.PathEscape(key), ".", "%2E")
}

// Get reads the JSON answer to a path into out.
func (c *Client) Get(ctx context.Context, path string, query url.Values, out any) error {
	return c.Call(ctx, Request{Method: http.MethodGet, Path: path, Query: query}, out)
}

// Put sends in as JSON, or an empty body if it is nil.
func (c *Client) Put(ctx context.Context, path string, query url.Values, in any) error {
	r := Request{Method: http.MethodPut, Path: path, Query: query}
	if in != nil {
		body, err := json.Marshal(in)
		if err != nil {
			return err
		}
		r.Body = bytes.NewReader(body)
	}
	return c.Call(ctx, r, nil)
}

// Call sends a request and reads the JSON answer into out. A nil out discards the answer.
func (c *Client) Call(ctx context.Context, r Request, out any) error {
	res, err := c.Do(ctx, r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("the answer to %s is not what was expected: %w", r.Path, err)
	}
	return nil
}

// A Status is an answer other than 200.
type Status struct {
	Code int
	Text string // the body, without blanks around it

	header http.Header
}

// Error gives the status and the agent's own text, in the words of Consul's clients.
func (s *Status) Error() string {
	return fmt.Sprintf("Unexpected response code: %d (%s)", s.Code, s.Text)
}

// NotFound tells whether the agent answered that it has no such thing.
func NotFound(err error) bool {
	var s *Status
	return errors.As(err, &s) && s.Code == http.StatusNotFound
}

// Unreachable means that no agent answered. Error is the text of Err alone; Hint says what to do.
type Unreachable struct {
	Err  error
	Hint string
}

func (u *Unreachable) Error() string { return u.Err.Error() }

// Unwrap gives the failure of the connection.
func (u *Unreachable) Unwrap() error { return u.Err }
