package watch

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"lictor/process"
)

// A Handler does something for a change.
type Handler interface {
	// Handle returns the end of what the handler printed or answered, and an error if it failed. When ctx is done it ends
	// what it has started, and returns.
	Handle(ctx context.Context, c Change) (output string, err error)
}

// maxOutput is how many bytes of a handler's output are kept.
const maxOutput = 4 << 10

// A Script is a command that reads the change as JSON from its standard input. CONSUL_INDEX in its environment is the
// index of the change.
type Script struct {
	Args []string
	Line string // for a shell, instead of Args
}

// Handle implements Handler. The command may run for as long as it likes.
func (s *Script) Handle(ctx context.Context, c Change) (string, error) {
	args := s.Args
	if s.Line != "" {
		args = process.Shell(s.Line)
	}
	out := process.NewTail(maxOutput)
	code, err := process.Run(ctx, process.Command{Args: args, Output: out, Stdin: bytes.NewReader(c.line()),
		Env: []string{"CONSUL_INDEX=" + strconv.FormatUint(c.Index, 10)}})
	switch {
	case ctx.Err() != nil:
		return out.Text(), ctx.Err()
	case err != nil:
		return "", err
	case code == -1:
		return out.Text(), fmt.Errorf("a signal has ended it")
	case code != 0:
		return out.Text(), fmt.Errorf("exit status %d", code)
	}
	return out.Text(), nil
}

// An HTTP handler sends the change as JSON to an address. The header X-Consul-Index is the index of the change.
type HTTP struct {
	URL, Method string
	Header      http.Header
	Timeout     time.Duration
	SkipVerify  bool // whether any certificate will do
}

// Handle implements Handler. An answer other than 2xx is an error.
func (h *HTTP) Handle(ctx context.Context, c Change) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, h.Method, h.URL, bytes.NewReader(c.line()))
	if err != nil {
		return "", err
	}
	for name, values := range h.Header {
		r.Header[name] = values
	}
	if host := h.Header.Get("Host"); host != "" {
		r.Host = host
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Consul-Index", strconv.FormatUint(c.Index, 10))
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: h.SkipVerify}}
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	out := process.NewTail(maxOutput)
	if _, err := io.Copy(out, io.LimitReader(answer.Body, 16*maxOutput)); err != nil {
		return out.Text(), err
	}
	if answer.StatusCode/100 != 2 {
		return out.Text(), fmt.Errorf("the answer was %s", answer.Status)
	}
	return out.Text(), nil
}

// line is the change as handlers read it.
func (c Change) line() []byte { return append(c.JSON[:len(c.JSON):len(c.JSON)], '\n') }
