package health

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"lictor/catalog"
)

// What an HTTP check says of itself unless its definition has headers of these names.
const (
	userAgent     = "Consul Health Check"
	acceptedTypes = "text/plain, text/*, */*"
)

// An httpProber makes a request: 2xx is passing, 429 is a warning, all else is critical.
type httpProber struct {
	def    *catalog.CheckDefinition
	client http.Client
	limit  int
}

func newHTTP(env environment, d *catalog.CheckDefinition) (prober, error) {
	p := &httpProber{def: d, limit: env.limit(d)}
	p.client.Timeout = timeout(d, DefaultTimeout)
	p.client.Transport = env.transport
	if d.TLSServerName != "" || d.TLSSkipVerify {
		p.client.Transport = newTransport(env.dialer(d))
	}
	if d.DisableRedirects {
		p.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return p, nil
}

func (p *httpProber) probe(ctx context.Context) result {
	q, err := p.request(ctx)
	if err != nil {
		return failed(err)
	}
	a, err := p.client.Do(q)
	if err != nil {
		return failed(err)
	}
	defer a.Body.Close()
	text := fmt.Sprintf("HTTP %s %s: %s Output: %s", q.Method, p.def.HTTP, a.Status, head(a.Body, p.limit))
	switch {
	case a.StatusCode >= 200 && a.StatusCode < 300:
		return passing(text)
	case a.StatusCode == http.StatusTooManyRequests:
		return warning(text)
	}
	return critical(text)
}

func (p *httpProber) request(ctx context.Context) (*http.Request, error) {
	method := p.def.Method
	if method == "" {
		method = http.MethodGet
	}
	q, err := http.NewRequestWithContext(ctx, method, p.def.HTTP, strings.NewReader(p.def.Body))
	if err != nil {
		return nil, err
	}
	for name, values := range p.def.Header {
		for _, v := range values {
			q.Header.Add(name, v)
		}
	}
	if host := q.Header.Get("Host"); host != "" {
		q.Host = host
		q.Header.Del("Host")
	}
	if _, set := q.Header["User-Agent"]; !set {
		q.Header.Set("User-Agent", userAgent)
	}
	if _, set := q.Header["Accept"]; !set {
		q.Header.Set("Accept", acceptedTypes)
	}
	return q, nil
}
