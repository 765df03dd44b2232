package claims

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// A Client asks the systems that vouch for others: issuers of tokens, and those that review them.
type Client struct{ http *http.Client }

const (
	answerTime = 15 * time.Second
	maxAnswer  = 1 << 20 // bytes
)

// NewClient makes a Client that trusts some certificates, in PEM; "" are those of the system.
func NewClient(ca string) (*Client, error) {
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM([]byte(ca)) {
			return nil, errors.New("the certificates to trust are no certificates in PEM")
		}
	}
	return &Client{&http.Client{Timeout: answerTime, Transport: &http.Transport{TLSClientConfig: settings, Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}}, nil
}

// Get reads a JSON document.
func (c *Client) Get(ctx context.Context, address string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	return c.Do(r, into)
}

// Do sends a request and reads the JSON that it is answered with.
func (c *Client) Do(r *http.Request, into any) error {
	answer, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s answers %s", r.URL.Host, answer.Status)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s answers what is not the JSON that is expected: %w", r.URL.Host, err)
	}
	return nil
}
