package httpapi

import (
	"compress/gzip"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"lictor/txn"
)

// A refusal of a transaction that is large enough to be compressed says so in its headers.
func TestLargeConflictIsReadable(t *testing.T) {
	s := &Server{Config: Config{Log: slog.New(slog.DiscardHandler)}}
	rec := httptest.NewRecorder()
	r := httptest.NewRequest("PUT", "/v1/txn", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	failed := []txn.OpError{{OpIndex: 0, What: strings.Repeat("x", 2000)}}
	if _, err := s.txnAnswer(rec, r, txn.Response{Errors: failed}, failed); err != nil {
		t.Fatal(err)
	}
	res := rec.Result()
	body := res.Body
	if res.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(res.Body)
	}
	if res.StatusCode != 409 {
		t.Errorf("status %d", res.StatusCode)
	}
	if err := json.NewDecoder(body).Decode(&struct{}{}); err != nil {
		t.Errorf("header %v: %v", res.Header, err)
	}
}
