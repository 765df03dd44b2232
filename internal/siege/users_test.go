//go:build siege

package siege

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// pace is how often each user asks.
const pace = 10 * time.Millisecond

// users are ways to ask, by name. Each is called by one goroutine.
func users(server, client *agent) map[string]func() error {
	return map[string]func() error{
		"http":    asks(&http.Transport{}, "http://"+server.address("http")),
		"https":   asks(&http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}, "https://"+server.address("https")),
		"rpc":     asks(&http.Transport{}, "http://"+client.address("http")),
		"dns":     digs("udp", server.address("dns")),
		"dns-tcp": digs("tcp", server.address("dns")),
	}
}

func asks(transport *http.Transport, base string) func() error {
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	return func() error {
		answer, err := client.Get(base + "/v1/kv/well?consistent&raw")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if text, err := io.ReadAll(answer.Body); err != nil || !bytes.Equal(text, []byte("yes")) {
			return fmt.Errorf("%d %q: %w", answer.StatusCode, text, err)
		}
		return nil
	}
}

func digs(network, address string) func() error {
	question := new(dns.Msg).SetQuestion("server.node.consul.", dns.TypeA)
	client := &dns.Client{Net: network, Timeout: 10 * time.Second}
	var kept *dns.Conn // of UDP
	return func() error {
		conn := kept
		if conn == nil {
			dialled, err := client.Dial(address)
			if err != nil {
				return err
			}
			if conn = dialled; network == "udp" {
				kept = conn
			} else {
				defer conn.Close()
			}
		}
		answer, _, err := client.ExchangeWithConn(question, conn)
		if err != nil {
			kept = nil // as the answer may come later
			return errors.Join(err, conn.Close())
		}
		if len(answer.Answer) == 0 {
			return errors.New("an answer of DNS without records")
		}
		return nil
	}
}

// times are how long requests took, by user, and which have failed.
type times struct {
	took   map[string][]time.Duration
	failed []error
}

func newTimes() *times { return &times{took: map[string][]time.Duration{}} }

// use asks as all users do until ctx ends, and adds to the times.
func (all *times) use(ctx context.Context, users map[string]func() error) {
	var mu sync.Mutex // guards all
	var running sync.WaitGroup
	for name, ask := range users {
		running.Go(func() {
			ticks := time.NewTicker(pace)
			defer ticks.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticks.C:
				}
				begin := time.Now()
				err := ask()
				took := time.Since(begin)
				mu.Lock()
				all.took[name] = append(all.took[name], took)
				if err != nil {
					all.failed = append(all.failed, fmt.Errorf("a user of %s, after %v: %w", name, took, err))
				}
				mu.Unlock()
			}
		})
	}
	running.Wait()
}

// quantile is the time that a share of the requests of some users has not exceeded.
func (all *times) quantile(share float64, users ...string) time.Duration {
	var took []time.Duration
	for name, some := range all.took {
		if len(users) == 0 || slices.Contains(users, name) {
			took = append(took, some...)
		}
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[int(share*float64(len(took)-1))]
}
