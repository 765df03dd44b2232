package audit

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"
)

// The types of events. HTTPEvent is Consul's, the others are Lictor's own.
const (
	HTTP  = "HTTPEvent"
	DNS   = "DNSEvent"   // a question that was asked with the token that the agent has for DNS
	Local = "LocalEvent" // something done on the host, beside the API
)

// The stages of an operation.
const (
	Start    = "OperationStart"
	Complete = "OperationComplete"
)

// An Event is one record: who did what. Its fields are those that Consul writes; datacenter, node, query and error are
// Lictor's own.
type Event struct {
	ID         string    `json:"id"` // the same at the start of an operation and at its end
	Version    string    `json:"version"`
	Type       string    `json:"type"`
	Timestamp  time.Time `json:"timestamp"`
	Datacenter string    `json:"datacenter,omitempty"`
	Node       string    `json:"node,omitempty"` // that was asked
	Auth       *Auth     `json:"auth,omitempty"` // nil where there are no ACLs
	Request    Request   `json:"request"`
	Response   *Response `json:"response,omitempty"` // nil at the start
	Stage      string    `json:"stage"`
}

// Auth is who did it. It never holds a secret.
type Auth struct {
	Accessor    string    `json:"accessor_id"`
	Description string    `json:"description"`
	CreateTime  time.Time `json:"create_time,omitzero"`
	Error       string    `json:"error,omitempty"` // why it is not known who it is
}

// Request is what was done.
type Request struct {
	Operation  string              `json:"operation"` // the method, or the type of a DNS question
	Endpoint   string              `json:"endpoint"`  // the path as it is understood, or the name that was asked for
	Query      map[string][]string `json:"query,omitempty"`
	Datacenter string              `json:"datacenter,omitempty"` // another one than that of the agent, if that was asked for
	RemoteAddr string              `json:"remote_addr,omitempty"`
	UserAgent  string              `json:"user_agent,omitempty"`
	Host       string              `json:"host,omitempty"`
}

// Response is what came of it.
type Response struct {
	Status string `json:"status"`          // of HTTP, or the code of a DNS answer
	Error  string `json:"error,omitempty"` // the class of the failure
}

// line is an event as it is written.
func (e *Event) line() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(struct {
		CreatedAt time.Time `json:"created_at"`
		EventType string    `json:"event_type"`
		Payload   *Event    `json:"payload"`
	}{e.Timestamp, "audit", e})
	if err != nil { // of a time that JSON cannot write, at most
		return fmt.Appendf(nil, "{\"event_type\":\"audit\",\"payload\":{\"id\":%q,\"stage\":%q}}\n", e.ID, e.Stage)
	}
	return b.Bytes()
}

// newID is a random UUID.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
