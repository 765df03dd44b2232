package health

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lictor/catalog"
	"lictor/process"
)

const (
	defaultDockerHost = "unix:///var/run/docker.sock"
	maxDockerAnswer   = 1 << 20 // of JSON, in bytes
)

// A dockerProber runs a command in a container by the HTTP API of the Docker daemon. The exit code counts as a script's.
type dockerProber struct {
	client    http.Client
	base      string // URL of the daemon
	container string
	args      []string
	timeout   time.Duration
	limit     int
}

func newDocker(env environment, d *catalog.CheckDefinition) (prober, error) {
	p := &dockerProber{container: d.DockerContainerID, args: d.ScriptArgs, timeout: timeout(d, DefaultScriptTimeout), limit: env.limit(d)}
	if d.Shell != "" {
		p.args = []string{d.Shell, "-c", strings.Join(d.ScriptArgs, " ")}
	}
	t := newTransport(tlsDialer{})
	var err error
	p.base, err = dockerEndpoint(env.conf.DockerHost, t)
	p.client.Transport = t
	return p, err
}

// dockerEndpoint finds the URL of the daemon, and has the transport dial its socket if it listens on one.
func dockerEndpoint(host string, t *http.Transport) (base string, err error) {
	if host == "" {
		host = defaultDockerHost
	}
	scheme, address, ok := strings.Cut(host, "://")
	switch {
	case ok && scheme == "unix" && address != "":
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", address)
		}
		return "http://docker", nil
	case ok && (scheme == "tcp" || scheme == "http") && address != "":
		return "http://" + strings.TrimSuffix(address, "/"), nil
	}
	return "", fmt.Errorf("docker host %q is neither unix:///path nor tcp://host:port", host)
}

func (p *dockerProber) probe(ctx context.Context) result {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	out := process.NewTail(p.limit)
	code, err := p.exec(ctx, out)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return timedOut(p.timeout, out)
	case err != nil:
		return failed(err)
	}
	return exited(code, out)
}

// exec runs the command to its end and tells its exit code.
func (p *dockerProber) exec(ctx context.Context, out io.Writer) (code int, err error) {
	var made struct{ Id string }
	what := map[string]any{"AttachStdout": true, "AttachStderr": true, "Cmd": p.args}
	if err := p.call(ctx, "/containers/"+url.PathEscape(p.container)+"/exec", what, decode(&made)); err != nil {
		return -1, err
	}
	path := "/exec/" + url.PathEscape(made.Id)
	how := map[string]any{"Detach": false, "Tty": false}
	if err := p.call(ctx, path+"/start", how, func(r io.Reader) error { return demultiplex(out, r) }); err != nil {
		return -1, err
	}
	var end struct {
		Running  bool
		ExitCode *int
	}
	if err := p.call(ctx, path+"/json", nil, decode(&end)); err != nil {
		return -1, err
	}
	if end.Running || end.ExitCode == nil {
		return -1, errors.New("docker: the command has left no exit code")
	}
	return *end.ExitCode, nil
}

// call posts a body, or gets if there is none, and hands the answer to read.
func (p *dockerProber) call(ctx context.Context, path string, body any, read func(io.Reader) error) error {
	method, content := http.MethodGet, []byte(nil)
	if body != nil {
		method = http.MethodPost
		var err error
		if content, err = json.Marshal(body); err != nil {
			return err
		}
	}
	q, err := http.NewRequestWithContext(ctx, method, p.base+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	a, err := p.client.Do(q)
	if err != nil {
		return fmt.Errorf("docker: %w", err)
	}
	defer a.Body.Close()
	if a.StatusCode < 200 || a.StatusCode > 299 {
		return fmt.Errorf("docker: %s: %s", a.Status, refusal(a.Body))
	}
	return read(a.Body)
}

// refusal is the daemon's reason for an error.
func refusal(body io.Reader) string {
	text := head(body, DefaultOutputMaxSize)
	var reason struct{ Message string }
	if json.Unmarshal([]byte(text), &reason) == nil && reason.Message != "" {
		return reason.Message
	}
	return strings.TrimSpace(text)
}

func decode(v any) func(io.Reader) error {
	return func(r io.Reader) error {
		if err := json.NewDecoder(io.LimitReader(r, maxDockerAnswer)).Decode(v); err != nil {
			return fmt.Errorf("docker: read answer: %w", err)
		}
		return nil
	}
}

// demultiplex writes what a command printed to either of its outputs. The daemon sends frames:
//
//	+--------+-------+------------------+---------+
//	| stream | 0 0 0 | length (4, big)  | payload |
//	+--------+-------+------------------+---------+
func demultiplex(out io.Writer, r io.Reader) error {
	var header [8]byte
	for {
		switch _, err := io.ReadFull(r, header[:]); {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("docker: read output: %w", err)
		}
		if _, err := io.CopyN(out, r, int64(binary.BigEndian.Uint32(header[4:]))); err != nil {
			return fmt.Errorf("docker: read output: %w", err)
		}
	}
}
