package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// A Doer sends requests as a Client does, which is one.
type Doer interface {
	// Do returns the answer, whose body the caller closes. An answer other than 200 is a *Status.
	Do(context.Context, Request) (*http.Response, error)
}

// An Answer is what an agent has told of something that can be watched.
type Answer struct {
	Body    []byte // JSON, nil if Missing
	Missing bool   // the agent has no such thing
	Hash    string // of the content, where the agent gives that instead of an index
	Index   uint64 // what a question names that is to be answered once this has changed; 0 if the agent gave none
}

// Read asks for something that can be watched. With an index it blocks until the index has changed, or until the agent
// grows tired of waiting and answers with the same index. That a thing is missing is no error.
func Read(ctx context.Context, d Doer, r Request, index uint64) (Answer, error) {
	q := url.Values{}
	for k, v := range r.Query {
		q[k] = v
	}
	if index > 0 {
		q.Set("index", strconv.FormatUint(index, 10))
	}
	r.Method, r.Query = http.MethodGet, q
	res, err := d.Do(ctx, r)
	if err != nil {
		var s *Status
		if errors.As(err, &s) && s.Code == http.StatusNotFound {
			return Answer{Missing: true, Index: indexOf(s.header)}, nil
		}
		return Answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("read the answer to %s: %w", r.Path, err)
	}
	return Answer{Body: body, Index: indexOf(res.Header), Hash: res.Header.Get("X-Consul-ContentHash")}, nil
}

// Newer is the index to block on after an answer, when the last question named old. An index that goes backwards means
// that the state was replaced, by a snapshot say: the next question must not block.
func (a Answer) Newer(old uint64) uint64 {
	if a.Index < old {
		return 0
	}
	return a.Index
}

func indexOf(h http.Header) uint64 {
	index, err := strconv.ParseUint(h.Get("X-Consul-Index"), 10, 64)
	if err != nil {
		return 0
	}
	return index
}
