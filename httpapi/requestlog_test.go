package httpapi

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"testing"
)

func TestRequestsAreLogged(t *testing.T) {
	var text bytes.Buffer
	for level, want := range map[slog.Level]string{
		slog.LevelDebug: `level=DEBUG msg="Request finished" method=PUT url="/v1/status/leader\?dc=a&token=%3Chidden%3E" from=192.0.2.1:1234 latency=\S+s\n$`,
		slog.LevelInfo:  `^$`,
	} {
		text.Reset()
		s := New(Config{Log: slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))})
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("PUT", "/v1/status/leader?dc=a&token=secret", nil))
		if got := text.String(); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: got %q", level, got)
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	for target, want := range map[string]string{
		"/v1/kv/a%2Fb?keys&separator=/": "/v1/kv/a%2Fb?keys&separator=/",
		"/v1/kv/a?token=secret":         "/v1/kv/a?token=%3Chidden%3E",
		"/v1/kv/a?a=b&token=%zzsecret":  "/v1/kv/a?a=b",
		"/v1/kv/a?%74oken=secret":       "/v1/kv/a?token=%3Chidden%3E",
	} {
		if got := shown(httptest.NewRequest("GET", target, nil).URL); got != want {
			t.Errorf("%s: got %s, want %s", target, got, want)
		}
	}
}
