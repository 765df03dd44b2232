package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lictor/acl"
	"lictor/internal/openid"
)

const managementToken = "11111111-1111-4111-8111-111111111111"

// told waits until the command has told where to log in.
func (j *job) told(t *testing.T) string {
	t.Helper()
	select {
	case <-j.stdout.seen:
	case code := <-j.code:
		t.Fatalf("it has ended: %d %s", code, j.stderr.String())
	}
	for _, line := range strings.Split(j.stdout.text.String(), "\n") {
		if u, err := url.Parse(strings.TrimSpace(line)); err == nil && u.Host != "" {
			return u.String()
		}
	}
	t.Fatalf("no address: %s", j.stdout.text.String())
	return ""
}

func page(t *testing.T, address string) (int, string) {
	t.Helper()
	r, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

func TestLoginWithABrowser(t *testing.T) {
	a := newRealAgent(t, `server = true bootstrap = true node_name = "n1" acl { enabled = true default_policy = "deny" tokens { initial_management = "`+managementToken+`" agent = "`+managementToken+`" } }`)
	p := openid.New(t)
	eventually(t, "the agent leads", func() bool {
		code, _, _ := a.lictor("acl", "policy", "list", "-token="+managementToken)
		return code == 0
	})
	addr := a.HTTPAddrs()[0].String()
	listen := fmt.Sprintf("localhost:%d", freePorts(t, 1)...)
	home := "http://" + listen + "/oidc/callback"
	config := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(config, mustJSON(t, map[string]any{"OIDCDiscoveryURL": p.URL, "OIDCClientID": openid.ClientID, "OIDCClientSecret": openid.ClientSecret,
		"AllowedRedirectURIs": []string{home}, "ClaimMappings": map[string]string{"sub": "user"}}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range [][]string{
		{"acl", "auth-method", "create", "-name=people", "-type=oidc", "-config=@" + config},
		{"acl", "binding-rule", "create", "-method=people", "-bind-type=service", "-bind-name=of-${value.user}"},
	} {
		if code, _, stderr := a.lictor(append(line, "-token="+managementToken)...); code != 0 {
			t.Fatal(stderr)
		}
	}
	sink := filepath.Join(t.TempDir(), "token")
	login := func(more ...string) *job {
		return begin(addr, append([]string{"login", "-type=oidc", "-method=people", "-token-sink-file=" + sink, "-oidc-callback-listen-addr=" + listen}, more...)...)
	}

	j := login("-meta=from=here")
	there := j.told(t)
	for _, stranger := range []string{home + "?state=x&code=y", home, strings.TrimSuffix(home, "/oidc/callback") + "/"} {
		if status, body := page(t, stranger); status != http.StatusBadRequest && status != http.StatusNotFound {
			t.Errorf("%s: %d %s", stranger, status, body)
		}
	}
	if status, body := page(t, there); status != http.StatusOK || !strings.Contains(body, "close this window") {
		t.Errorf("%d %s", status, body)
	}
	if got := j.ended(); !strings.HasPrefix(got, "0 ") {
		t.Fatal(got)
	}
	secret, err := os.ReadFile(sink)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(sink); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	_, out, stderr := a.lictor("acl", "token", "read", "-self", "-token="+string(secret))
	if !strings.Contains(out, "of-alice") || !strings.Contains(out, `token created via login: {"from":"here"}`) {
		t.Errorf("%s%s", out, stderr)
	}

	// A provider that refuses says why, and nothing of that is a page.
	j = login()
	state := func(address string) string {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		return u.Query().Get("state")
	}
	status, body := page(t, home+"?"+url.Values{"state": {state(j.told(t))}, "error": {"access_denied"}, "error_description": {"<b>not you"}}.Encode())
	if status != http.StatusOK || strings.Contains(body, "<b>") || !strings.Contains(body, "not logged in") {
		t.Errorf("%d %s", status, body)
	}
	if got := j.ended(); !strings.HasPrefix(got, "1 ") || !strings.Contains(got, `Error logging in: the provider has refused: "<b>not you"`) {
		t.Error(got)
	}

	// Who does not come back is waited for until somebody interrupts.
	j = login()
	j.told(t)
	j.signals <- os.Interrupt
	if got := j.ended(); !strings.HasPrefix(got, "1 ") || !strings.Contains(got, "interrupted") {
		t.Error(got)
	}
	for says, line := range map[string][]string{
		"unauthorized RedirectURI":     {"-oidc-callback-listen-addr=127.0.0.1:0"},
		"-oidc-callback-listen-addr:":  {"-oidc-callback-listen-addr=nowhere"},
		"'-bearer-token-file'":         {"-bearer-token-file=x"},
		`auth method "none" not found`: {"-method=none"},
	} {
		if got := login(line...).ended(); !strings.HasPrefix(got, "1 ") || !strings.Contains(got, says) {
			t.Errorf("%v: %s", line, got)
		}
	}
}

// A token that cannot be kept is not left behind.
func TestLoginThatCannotBeKept(t *testing.T) {
	made, asked := acl.Token{SecretID: "made"}, make(chan string, 3)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path + " " + r.Header.Get("X-Consul-Token")
		_ = json.NewEncoder(w).Encode(&made)
	}))
	defer server.Close()
	proof := filepath.Join(t.TempDir(), "proof")
	if err := os.WriteFile(proof, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := begin(server.URL, "login", "-method=m", "-token=mine", "-bearer-token-file="+proof, "-token-sink-file="+filepath.Join(proof, "none")).ended()
	if !strings.HasPrefix(got, "1 ") || !strings.Contains(got, "Error writing token to file sink") {
		t.Error(got)
	}
	close(asked)
	for _, want := range []string{"/v1/acl/login mine", "/v1/acl/logout made"} {
		if got := <-asked; got != want {
			t.Errorf("asked for %q, not %q", got, want)
		}
	}
}

// What an agent wants to be shown to the user is an address for a browser, and what comes back is known by its state.
func TestLoginAtNoAddress(t *testing.T) {
	for _, odd := range []string{"file:///etc/passwd?state=x", "-option", "javascript:x?state=x", "https://login.example.com/?client_id=x", ""} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(acl.OIDCAddress{AuthURL: odd})
		}))
		j := begin(server.URL, "login", "-type=oidc", "-method=m", "-token-sink-file=x", "-oidc-callback-listen-addr=127.0.0.1:0")
		select {
		case code := <-j.code:
			if says := j.stderr.String(); code != 1 || !strings.Contains(says, "no address to log in at") {
				t.Errorf("%s: %d %s", odd, code, says)
			}
		case <-j.stdout.seen:
			t.Errorf("%s: the user is sent there", odd)
			j.signals <- os.Interrupt
			<-j.code
		}
		server.Close()
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
