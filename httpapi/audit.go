package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"lictor/acl"
	"lictor/rpc"
)

// An Operation is a request as an audit log tells it: nothing of it is secret.
type Operation struct {
	Method     string
	Path       string     // decoded, without dots and double slashes: what it means, however it was written
	Query      url.Values // without tokens
	Datacenter string     // that was asked for; "" is the agent's own
	RemoteAddr string
	UserAgent  string
	Host       string
	Who        acl.Authorizer // of the token; nil if WhoErr
	WhoErr     error
}

// An Outcome is what came of an Operation.
type Outcome struct {
	Status int
	Error  string // the class of the failure; "" is none
}

// An Auditor notes that a request is about to be answered. What it returns is told the outcome, and may be nil.
type Auditor func(*Operation) func(Outcome)

// What is kept of a request in an audit log.
const (
	maxAuditPath  = 8 << 10
	maxAuditOther = 1 << 10 // of each parameter, and of each header
)

// resolveWait bounds the wait for who has a token, for the audit log alone.
const resolveWait = 2 * time.Second

// audited answers a request with a record of its start and its end.
func (s *Server) audited(audit Auditor, w http.ResponseWriter, r *http.Request) {
	s.lendToken(r)
	o := operation(r)
	ctx, cancel := context.WithTimeout(r.Context(), resolveWait)
	o.Who, o.WhoErr = s.Resolve(ctx, token(r))
	cancel()
	n := &noted{ResponseWriter: w}
	if end := audit(o); end != nil {
		defer func() { // a handler that panics, as one does to cut an answer short, has a record, too
			end(n.outcome())
		}()
	}
	s.ServeHTTP(n, r)
	n.whole = true
}

func operation(r *http.Request) *Operation {
	q := auditQuery(r.URL.RawQuery)
	return &Operation{Method: cut(r.Method, maxAuditOther), Path: auditPath(r.URL.Path), Query: q, Datacenter: q.Get("dc"), RemoteAddr: r.RemoteAddr,
		UserAgent: cut(r.UserAgent(), maxAuditOther), Host: cut(r.Host, maxAuditOther)}
}

// legacySecrets are paths of Consul before 1.11, behind which a client that still asks for them puts the secret of a
// token.
var legacySecrets = []string{"/v1/acl/info/", "/v1/acl/clone/", "/v1/acl/destroy/"}

// auditPath is the one way to write a path.
func auditPath(p string) string {
	clean := path.Clean("/" + p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	for _, prefix := range legacySecrets {
		if len(clean) > len(prefix) && strings.EqualFold(clean[:len(prefix)], prefix) {
			return prefix + "<hidden>"
		}
	}
	return cut(clean, maxAuditPath)
}

// auditQuery are the parameters of a request without those that are secret.
func auditQuery(raw string) url.Values {
	if raw == "" {
		return nil
	}
	q, _ := url.ParseQuery(raw) // what cannot be read is no parameter
	shown := url.Values{}
	for name, values := range q {
		name = cut(name, maxAuditOther)
		for _, v := range values[:min(len(values), 16)] {
			if hides(name) && v != "" {
				v = "<hidden>"
			}
			shown.Add(name, cut(v, maxAuditOther))
		}
		if len(shown) == 64 {
			break
		}
	}
	return shown
}

// hides tells whether the value of a parameter may be a secret.
func hides(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"token", "secret", "passw", "bearer", "jwt"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// cut bounds a text, and writes out what is not UTF-8.
func cut(text string, most int) string {
	if len(text) > most {
		text = text[:most] + "..."
	}
	if utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i, c := range text {
		if _, size := utf8.DecodeRuneInString(text[i:]); c == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, `\x%02x`, text[i])
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// noted is the writer of a request that has a record.
type noted struct {
	http.ResponseWriter
	status int
	class  string
	whole  bool // the handler has returned
}

func (n *noted) WriteHeader(status int) {
	if n.status == 0 && status >= 200 {
		n.status = status
	}
	n.ResponseWriter.WriteHeader(status)
}

func (n *noted) Write(b []byte) (int, error) {
	if n.status == 0 {
		n.status = http.StatusOK
	}
	return n.ResponseWriter.Write(b)
}

// Unwrap lets an http.ResponseController find the writer below.
func (n *noted) Unwrap() http.ResponseWriter { return n.ResponseWriter }

func (n *noted) outcome() Outcome {
	o := Outcome{n.status, n.class}
	switch {
	case !n.whole:
		o.Error = "aborted"
		if o.Status == 0 {
			o.Status = http.StatusInternalServerError
		}
	case o.Status == 0:
		o.Status = http.StatusOK
	}
	if o.Error == "" && o.Status >= http.StatusBadRequest {
		o.Error = classOf(o.Status)
	}
	return o
}

// failed notes of what class the error of a request is.
func failed(w http.ResponseWriter, err error) {
	for {
		switch at := w.(type) {
		case *noted:
			at.class = string(rpc.CodeOf(err))
			if _, own := err.(*statusError); own {
				at.class = "" // the status says it
			}
			return
		case interface{ Unwrap() http.ResponseWriter }:
			w = at.Unwrap()
		default:
			return
		}
	}
}

// classOf names the class of a status.
func classOf(status int) string {
	for code, s := range statusOf {
		if s == status && s != http.StatusInternalServerError {
			return string(code)
		}
	}
	return strings.ToLower(strings.ReplaceAll(cmp.Or(http.StatusText(status), "error"), " ", "_"))
}
