package kvreplication

import (
	"sync"
	"time"

	"lictor/rpc"
)

//msgp:timezone utc
//msgp:ignore account
//go:generate go tool msgp -o status_gen.go -tests=false -io=false

// StatusMethod tells how the rules in force are doing. The leader answers it.
var StatusMethod = rpc.Method[struct{}, Statuses]{Name: "KVReplication.Status", Repeatable: true}

// Statuses are how the rules are doing, in the order of the configuration.
type Statuses struct {
	Rules []Status `msg:"Rules,allownil"`
}

// What a rule is doing.
const (
	Waiting   = "waiting"   // it has not heard of its source yet
	Copying   = "copying"   // all keys are compared
	Following = "following" // changes are brought over
	Failing   = "failing"   // the last attempt failed, and another one will be made
)

// A Status is how a rule is doing. Counts begin with the leadership of the server that answers.
type Status struct {
	Datacenter  string // source
	Source      string
	Destination string
	Exclude     []string `msg:"Exclude,allownil"`
	State       string
	Cursor      string     // how far a comparison of all keys has come
	SourceIndex uint64     // the newest index that the source has told of
	Index       uint64     // of the source, up to which its changes are here
	Synced      *time.Time // when the copy was last known to be like its source; null if not under this leader
	Behind      string     // how long ago that was; "" if not under this leader
	Written     uint64     // keys
	Deleted     uint64     // keys
	Batches     uint64
	Failures    uint64     // attempts
	LastError   string     // of the newest attempt that failed, even if one has succeeded since
	LastFailure *time.Time // when that was
	Upstream    []Hop      `msg:"Upstream,allownil"` // where the source has the keys from
}

// An account keeps the status of a rule.
type account struct {
	mu     sync.Mutex // guards status
	status Status
}

func newAccount(r *Rule) account {
	return account{status: Status{Datacenter: r.Datacenter, Source: r.Source, Destination: r.Destination, Exclude: r.Exclude, State: Waiting}}
}

// get is the status of this moment.
func (a *account) get() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.status
	if s.Synced != nil {
		s.Behind = time.Since(*s.Synced).Round(time.Millisecond).String()
	}
	return s
}

// come notes how far the copy has come.
func (a *account) come(p *Progress) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.progress(p)
}

func (a *account) progress(p *Progress) {
	a.status.Index, a.status.Cursor, a.status.Upstream = p.Index, p.Cursor, p.Upstream
}

// heard notes an index that the source has told of.
func (a *account) heard(index uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status.SourceIndex = index
}

// copying notes that all keys are compared.
func (a *account) copying() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status.State = Copying
}

// wrote notes a batch.
func (a *account) wrote(p *Progress, written, deleted int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.progress(p)
	if written+deleted > 0 {
		a.status.Batches++
	}
	a.status.Written += uint64(written)
	a.status.Deleted += uint64(deleted)
}

// synced notes that the copy is like its source, and tells whether that is news.
func (a *account) synced() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	news := a.status.State != Following
	now := time.Now()
	a.status.State, a.status.Synced = Following, &now
	return news
}

// fail notes that an attempt failed, and tells whether that is news.
func (a *account) fail(err error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	news := a.status.State != Failing || a.status.LastError != err.Error()
	now := time.Now()
	a.status.State, a.status.LastError, a.status.LastFailure = Failing, err.Error(), &now
	a.status.Failures++
	return news
}
