package httpapi

import (
	"net/http"
	"testing"
)

func TestBrowsers(t *testing.T) {
	s := &Server{Config: Config{Hosts: Hosts{Own: []string{"n1.example.com"}, Domains: []string{"consul."}, Allowed: []string{"api.example.org", "*.corp.example"}}}}
	const firefox, evil = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "http://evil.example"
	for name, c := range map[string]struct {
		method, host string
		header       map[string]string
		text         string // "" is let in
	}{
		"curl":                             {"PUT", "consul.mycorp.com:8500", map[string]string{"User-Agent": "curl/8.5.0", "Accept": "*/*"}, ""},
		"Go":                               {"PUT", "consul.mycorp.com:8500", map[string]string{"User-Agent": "Go-http-client/1.1"}, ""},
		"Python":                           {"PUT", "consul.mycorp.com:8500", map[string]string{"User-Agent": "python-requests/2.32", "Accept-Encoding": "gzip, deflate", "Connection": "keep-alive"}, ""},
		"Node":                             {"PUT", "consul.mycorp.com:8500", map[string]string{"User-Agent": "node", "Sec-Fetch-Mode": "cors", "Accept-Language": "*"}, ""},
		"nothing at all":                   {"DELETE", "consul.mycorp.com:8500", nil, ""},
		"a browser at loopback":            {"GET", "localhost:8500", map[string]string{"User-Agent": firefox}, ""},
		"at an address":                    {"GET", "10.0.0.1:8500", map[string]string{"User-Agent": firefox}, ""},
		"at an IPv6 address":               {"GET", "[::1]:8500", map[string]string{"User-Agent": firefox}, ""},
		"without a dot":                    {"GET", "consul:8500", map[string]string{"User-Agent": firefox}, ""},
		"at a name of its own":             {"GET", "N1.example.com:8500", map[string]string{"User-Agent": firefox}, ""},
		"at a name of DNS":                 {"GET", "web.service.consul", map[string]string{"User-Agent": firefox}, ""},
		"at an allowed name":               {"GET", "api.example.org", map[string]string{"User-Agent": firefox}, ""},
		"below an allowed domain":          {"GET", "a.b.corp.example.:8500", map[string]string{"User-Agent": firefox}, ""},
		"not below it":                     {"GET", "evilcorp.example", map[string]string{"User-Agent": firefox}, hostText},
		"rebound":                          {"GET", "evil.example:8500", map[string]string{"User-Agent": firefox}, hostText},
		"rebound, by its referrer":         {"GET", "evil.example:8500", map[string]string{"User-Agent": "x", "Referer": evil + "/"}, hostText},
		"rebound, writing":                 {"PUT", "evil.example:8500", map[string]string{"Origin": "http://evil.example:8500"}, hostText},
		"the page":                         {"PUT", "localhost:8500", map[string]string{"Origin": "http://localhost:8500", "Sec-Fetch-Site": "same-origin"}, ""},
		"typed by the user":                {"PUT", "localhost:8500", map[string]string{"Sec-Fetch-Site": "none"}, ""},
		"another site":                     {"PUT", "localhost:8500", map[string]string{"Origin": evil, "Sec-Fetch-Site": "cross-site"}, crossSiteText},
		"another site, without its origin": {"POST", "localhost:8500", map[string]string{"Sec-Fetch-Site": "cross-site"}, crossSiteText},
		"another port":                     {"PUT", "localhost:8500", map[string]string{"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}, crossSiteText},
		"a page of nowhere":                {"PUT", "localhost:8500", map[string]string{"Origin": "null"}, crossSiteText},
		"reading from elsewhere":           {"GET", "localhost:8500", map[string]string{"Origin": evil, "Sec-Fetch-Site": "cross-site"}, ""},
	} {
		r := &http.Request{Method: c.method, Host: c.host, Header: http.Header{}}
		for k, v := range c.header {
			r.Header.Set(k, v)
		}
		err := s.checkBrowser(r)
		if err == nil && c.text != "" || err != nil && err.Error() != c.text {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whoever has configured that another site may read lets it write, if it says who it is.
func TestConfiguredOrigins(t *testing.T) {
	request := func(token string) *http.Request {
		r := &http.Request{Method: "PUT", Host: "localhost", Header: http.Header{"Origin": {"http://dash.example"}, "Sec-Fetch-Site": {"cross-site"}}}
		if token != "" {
			r.Header.Set("X-Consul-Token", token)
		}
		return r
	}
	for allowed, want := range map[string][2]bool{"http://dash.example": {true, true}, "*": {false, true}, "http://other.example": {false, false}} {
		s := &Server{Config: Config{ResponseHeaders: map[string]string{"access-control-allow-origin": allowed}}}
		for i, token := range []string{"", "secret"} {
			if got := s.checkBrowser(request(token)) == nil; got != want[i] {
				t.Errorf("%s, token %q: let in %v", allowed, token, got)
			}
		}
	}
}
