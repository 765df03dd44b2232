package httpapi

import (
	"errors"
	"net/http"

	"lictor/rpc"
)

// A statusError is an error that belongs to HTTP alone.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

func badRequest(text string) error { return &statusError{http.StatusBadRequest, text} }

// statusOf maps the codes of errors to HTTP. It is the one place that does.
var statusOf = map[rpc.Code]int{
	rpc.Invalid:          http.StatusBadRequest,
	rpc.NotFound:         http.StatusNotFound,
	rpc.Conflict:         http.StatusConflict,
	rpc.PermissionDenied: http.StatusForbidden,
	"acl_disabled":       http.StatusUnauthorized,
	rpc.NoLeader:         http.StatusInternalServerError,
	rpc.NoDatacenter:     http.StatusInternalServerError,
	rpc.NotImplemented:   http.StatusNotImplemented,
	rpc.Limited:          http.StatusTooManyRequests,
	rpc.Internal:         http.StatusInternalServerError,
}

// fail writes an error as Consul does: its text alone.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	var direct *statusError
	if errors.As(err, &direct) {
		status = direct.status
	} else if mapped, ok := statusOf[rpc.CodeOf(err)]; ok {
		status = mapped
	}
	failed(w, err)
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	s.Log.Debug("request failed", "method", r.Method, "path", r.URL.Path, "status", status, "error", err)
	plain(w, status, err.Error())
}
