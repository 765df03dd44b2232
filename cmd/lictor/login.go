package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"flag"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"lictor/acl"
	"lictor/cmd/lictor/client"
	"lictor/durable"
)

// loginFlags are the flags of login.
type loginFlags struct {
	method, bearerFile, sink, kind, listen string
	meta                                   pairs
	aws                                    map[string]*string
}

// byBrowser is the type of auth methods by which people log in with a browser.
const byBrowser = "oidc"

func newLogin(fs *flag.FlagSet, c *console) runFunc {
	cn := c.clientFlags(fs)
	f := loginFlags{meta: pairs{}, aws: map[string]*string{}}
	fs.StringVar(&f.method, "method", "", "The `name` of the auth method to log in with.")
	fs.StringVar(&f.bearerFile, "bearer-token-file", "", "A `file` that holds the proof.")
	fs.StringVar(&f.sink, "token-sink-file", "", "The `file` to write the new token to.")
	fs.StringVar(&f.kind, "type", "", "The `type` of the auth method. It need be given only if it is oidc, by which one logs in with a browser.")
	fs.StringVar(&f.listen, "oidc-callback-listen-addr", "localhost:8550", "With -type=oidc: the `address` on this host that the browser comes back to. "+
		"The auth method must allow http://, this address and /oidc/callback as a redirect URI.")
	fs.Var(f.meta, "meta", "What to note of the token, `key=value`. May be repeated.")
	for _, name := range []string{"aws-access-key-id", "aws-region", "aws-secret-access-key", "aws-server-id-header-value", "aws-session-token", "aws-sts-endpoint"} {
		f.aws[name] = fs.String(name, "", "Of auth methods of type aws-iam, which are not in this version. A `text`.")
	}
	auto := fs.Bool("aws-auto-bearer-token", false, "Of auth methods of type aws-iam, which are not in this version.")
	fs.Bool("aws-include-entity", false, "Of auth methods of type aws-iam, which are not in this version.")
	return func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		switch {
		case f.method == "":
			return usagef("Missing required '-method' flag")
		case f.sink == "":
			return usagef("Missing required '-token-sink-file' flag")
		case *auto:
			return failf("-aws-auto-bearer-token: logging in with AWS is not in this version of Lictor yet")
		case f.kind == byBrowser && f.bearerFile != "":
			return usagef("Cannot use '-bearer-token-file' flag with '-type=oidc'")
		case f.kind == byBrowser:
			return f.browse(ctx, c, cn)
		case f.bearerFile == "":
			return usagef("Missing required '-bearer-token-file' flag")
		}
		return f.login(ctx, cn)
	}
}

func (f *loginFlags) login(ctx context.Context, cn *connection) error {
	proof, err := os.ReadFile(f.bearerFile)
	if err != nil {
		return failf("Error reading bearer token: %w", err)
	}
	bearer := strings.TrimSpace(string(proof))
	if bearer == "" {
		return failf("No bearer token found in %s", f.bearerFile)
	}
	cl, err := cn.client()
	if err != nil {
		return err
	}
	return f.obtain(ctx, cn, cl, "/v1/acl/login", acl.Login{AuthMethod: f.method, BearerToken: bearer, Meta: f.meta})
}

// obtain asks for a token, and writes it to the file.
func (f *loginFlags) obtain(ctx context.Context, cn *connection, cl *client.Client, path string, proof any) error {
	var made acl.Token
	if err := send(ctx, cl, http.MethodPost, path, proof, &made); err != nil {
		return failf("Error logging in: %w", err)
	}
	if err := durable.Replace(f.sink, []byte(made.SecretID), 0o600); err != nil {
		return errors.Join(failf("Error writing token to file sink: %w", err), cn.logout(ctx, made.SecretID))
	}
	return nil
}

// logout removes a token that nobody has got.
func (cn *connection) logout(ctx context.Context, token string) error {
	as := *cn
	as.token = optional[string]{token, true}
	cl, err := as.client()
	if err == nil {
		err = cl.Call(ctx, client.Request{Method: http.MethodPost, Path: "/v1/acl/logout"}, nil)
	}
	if err != nil {
		return failf("Error destroying the token that was made: %w", err)
	}
	return nil
}

// A homecoming is where the browser comes back to.
type homecoming struct {
	state string // that it must bring
	came  chan visitor
}

// A visitor is what the browser has brought: a code, or why there is none.
type visitor struct {
	code string
	err  error
}

// browse logs in with a browser: it sends that to the provider, and waits until it comes back.
func (f *loginFlags) browse(ctx context.Context, c *console, cn *connection) error {
	cl, err := cn.client()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", f.listen)
	if err != nil {
		return failf("-oidc-callback-listen-addr: %w", err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(f.listen)
	if err != nil {
		return failf("-oidc-callback-listen-addr: %w", err)
	}
	nonce := rand.Text()
	start := acl.OIDCStart{AuthMethod: f.method, RedirectURI: "http://" + net.JoinHostPort(host, port) + "/oidc/callback", ClientNonce: nonce, Meta: f.meta}
	var there acl.OIDCAddress
	if err := send(ctx, cl, http.MethodPost, "/v1/acl/oidc/auth-url", start, &there); err != nil {
		return errors.Join(failf("Error logging in: %w", err), listener.Close())
	}
	u, err := url.Parse(there.AuthURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.Query().Get("state") == "" {
		return errors.Join(failf("Error logging in: %q is no address to log in at", there.AuthURL), listener.Close())
	}
	home := &homecoming{state: u.Query().Get("state"), came: make(chan visitor, 1)}
	server := &http.Server{Handler: home, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	c.printf("Log in with a browser at\n\n    %s\n\nWaiting for it to come back to %s\n", there.AuthURL, start.RedirectURI)
	c.openBrowser(there.AuthURL)
	var v visitor
	select {
	case v = <-home.came:
	case <-ctx.Done():
		return errors.Join(failf("Error logging in: interrupted"), server.Close())
	}
	// The browser is to get its page.
	closing, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := server.Shutdown(closing); err != nil {
		_ = server.Close()
	}
	if v.err != nil {
		return failf("Error logging in: %w", v.err)
	}
	back := acl.OIDCCallback{AuthMethod: f.method, State: home.state, Code: v.code, ClientNonce: nonce}
	return f.obtain(ctx, cn, cl, "/v1/acl/oidc/callback", back)
}

// ServeHTTP takes in the browser. Whoever else finds the port, or the page of another site, does not know the state.
func (h *homecoming) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch {
	case r.URL.Path != "/oidc/callback":
		http.NotFound(w, r)
		return
	case r.Method != http.MethodGet || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(h.state)) != 1:
		http.Error(w, "This is not the login that is waited for.", http.StatusBadRequest)
		return
	}
	v, says := visitor{code: q.Get("code")}, "You may close this window, and go on in the terminal."
	if v.code == "" {
		why := q.Get("error_description")
		if why == "" {
			why = q.Get("error")
		}
		v.err = fmt.Errorf("the provider has refused: %q", why)
		says = "You are not logged in: the provider has refused."
	}
	select {
	case h.came <- v:
	default: // once is enough
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	w.Header().Set("Referrer-Policy", "no-referrer")
	fmt.Fprintf(w, "<!DOCTYPE html><title>Lictor</title><p>%s</p>\n", html.EscapeString(says))
}
