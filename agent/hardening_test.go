package agent

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// Nobody who reaches the API can have the agent run a program, unless the configuration says so (script checks by
// remote registration are how agents were taken over).
func TestRemoteScripts(t *testing.T) {
	touched := filepath.Join(t.TempDir(), "touched")
	check := fmt.Sprintf(`{"CheckID": "s", "Name": "s", "Args": ["touch", %q], "Interval": "10ms"}`, touched)
	for name, c := range map[string]struct {
		hcl  string
		runs bool
	}{
		"by default":                 {"", false},
		"enable_local_script_checks": {"enable_local_script_checks = true", false},
		"enable_script_checks":       {"enable_script_checks = true", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, t.TempDir(), c.hcl)
			paths := map[string]string{
				"/v1/agent/check/register":   check,
				"/v1/agent/service/register": `{"Name": "web", "Check": ` + check + `}`,
			}
			for path, body := range paths {
				status, text := s.ask("PUT", path, body)
				if taken := status == http.StatusOK; taken != c.runs {
					t.Errorf("%s answers %d %s", path, status, text)
				}
			}
			// The catalog is no way around it: what is registered there is run by nobody.
			s.put("/v1/catalog/register", `{"Node": "n1", "Address": "127.0.0.1", "SkipNodeUpdate": true, "Check": {"CheckID": "c", "Name": "c", "Definition": {"HTTP": "http://127.0.0.1:1"}}}`)
			if c.runs {
				s.eventually("the script has run", func() bool { _, err := os.Stat(touched); return err == nil })
				os.Remove(touched)
				return
			}
			if _, err := os.Stat(touched); err == nil {
				t.Error("the script has run")
			}
			if got := s.get("/v1/agent/checks"); got != "{}" && !strings.Contains(got, `"c"`) {
				t.Errorf("the agent has %s", got)
			}
		})
	}
}

// Asking for many names that are not there must not fill the memory.
func TestManyNamesThatAreNotThere(t *testing.T) {
	s := start(t, t.TempDir())
	s.http.Transport = &http.Transport{MaxIdleConnsPerHost: 1}
	ask := func(n, from int) {
		for i := range n {
			name := fmt.Sprintf("%d-%s", from+i, strings.Repeat("x", 1000))
			s.get("/v1/kv/" + name)
			s.get("/v1/health/service/" + name)
			s.get("/v1/kv/?keys&separator=" + name)
			s.dig(fmt.Sprintf("no%d.service.consul.", from+i), dns.TypeA)
		}
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	ask(4000, 0)
	if results, _ := s.views.Size(); results > 20_000 {
		t.Errorf("%d results are kept", results)
	}
	if grown := int64(heap()) - int64(before); grown > 64<<20 {
		t.Errorf("12,000 questions have left %d bytes", grown)
	}
	s.serves()
}

// The filter is applied to what a token may see, and to nothing else: it is no oracle for the rest.
func TestFiltersSeeNoSecrets(t *testing.T) {
	s, p, _ := guarded(t)
	for path, filter := range map[string]string{
		"/v1/catalog/nodes":                     `Meta.m=="secret"`,
		"/v1/catalog/node-services/secret-node": `Service=="secret-service"`,
		"/v1/catalog/service/secret-service":    `ServiceAddress=="10.6.6.6"`,
		"/v1/health/service/secret-service":     `Service.Address=="10.6.6.6"`,
		"/v1/health/state/any":                  `CheckID=="secret-check"`,
		"/v1/agent/services":                    `Address=="10.6.6.6"`,
		"/v1/agent/checks":                      `CheckID=="secret-check"`,
		"/v1/agent/members":                     `Name=="secret-node"`,
	} {
		answers := map[string]bool{}
		for _, f := range []string{filter, strings.Replace(filter, "==", "!=", 1)} {
			status, text := s.askAs(p.next().id, "GET", path+"?filter="+strings.NewReplacer(`"`, "%22", " ", "%20").Replace(f), "")
			answers[fmt.Sprint(status, text)] = true
		}
		if len(answers) != 1 {
			t.Errorf("%s tells a stranger whether %s: %v", path, filter, answers)
		}
	}
}
