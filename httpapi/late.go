package httpapi

import "net/http"

// late is the writer of a request that may wait for long: it gets the headers that all answers share only when the
// answer begins, so that thousands that wait do not each hold a map of them.
type late struct {
	http.ResponseWriter
	common func(http.Header)
	told   bool
}

func (l *late) Header() http.Header {
	h := l.ResponseWriter.Header()
	if !l.told {
		l.told = true
		l.common(h)
	}
	return h
}

func (l *late) WriteHeader(status int) {
	l.Header()
	l.ResponseWriter.WriteHeader(status)
}

func (l *late) Write(b []byte) (int, error) {
	l.Header()
	return l.ResponseWriter.Write(b)
}

// Unwrap lets an http.ResponseController find the writer below.
func (l *late) Unwrap() http.ResponseWriter { return l.ResponseWriter }
