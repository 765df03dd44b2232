// Package audit keeps the record of who did what: JSON lines in files that rotate and in syslog. It knows the form of
// records, where they go and how none is lost while that changes; it knows nothing of requests, tokens or configuration
// files.
package audit

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what all records have in common. Log is required.
type Config struct {
	Datacenter string
	Node       string
	Log        *slog.Logger // takes what is wrong with sinks
	Written    func()       // counts what sinks have taken; nil counts nothing
	Lost       func()       // counts what they have not
}

// A Log is where records arrive. Its methods may be called by many goroutines at once.
type Log struct {
	Config
	current atomic.Pointer[sinks] // where records go; nil nowhere

	reloading sync.Mutex // one reload, or end, at a time; held before mu
	mu        sync.Mutex // guards what follows
	on        bool
	stopped   bool
	begun     int // operations that have begun and not ended

	closing sync.WaitGroup // of a log that was turned off, by the last operation; none begins once it is stopped
}

// New makes a Log that is off. Reload turns it on, Stop ends it.
func New(c Config) *Log {
	for _, f := range []*func(){&c.Written, &c.Lost} {
		if *f == nil {
			*f = func() {}
		}
	}
	return &Log{Config: c}
}

// Reload puts other sinks in force; none turns the log off. A sink with the path of one that is there continues it. Operations
// that began before are recorded to their end, even by a log that was turned off. If a sink cannot be opened nothing
// changes.
func (l *Log) Reload(wanted []Sink) error {
	l.reloading.Lock()
	defer l.reloading.Unlock()
	if len(wanted) == 0 {
		l.mu.Lock()
		l.on = false
		idle := l.begun == 0
		l.mu.Unlock()
		if idle {
			l.replace(nil)
		}
		return nil
	}
	next, err := l.open(wanted)
	if err != nil {
		return err
	}
	l.replace(next)
	l.mu.Lock()
	l.on = true
	l.mu.Unlock()
	return nil
}

// Stop ends the log. What is recorded later is dropped.
func (l *Log) Stop() error {
	l.mu.Lock()
	l.on, l.stopped = false, true
	l.mu.Unlock()
	l.closing.Wait()
	l.reloading.Lock()
	defer l.reloading.Unlock()
	return l.replace(nil)
}

// An Operation is something whose start was recorded.
type Operation struct {
	log   *Log
	event Event
	hold  hold
}

// Begin records the start of an operation; it returns nil if the log is off. End has to be called in the end.
func (l *Log) Begin(kind string, who *Auth, what Request) *Operation {
	l.mu.Lock()
	on := l.on
	if on {
		l.begun++
	}
	l.mu.Unlock()
	if !on {
		return nil
	}
	o := &Operation{l, l.event(kind, who, what), hold{patience}}
	o.event.Stage = Start
	l.put(o.event.line(), &o.hold)
	return o
}

// End records the end of an operation. It does nothing for nil.
func (o *Operation) End(r Response) {
	if o == nil {
		return
	}
	e := o.event
	e.Timestamp, e.Stage, e.Response = time.Now(), Complete, &r
	o.log.put(e.line(), &o.hold)
	o.log.ended()
}

// ended closes a log that was turned off, once nothing is under way any more. The last request does not wait for that.
func (l *Log) ended() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begun--; l.begun == 0 && !l.on && !l.stopped {
		l.closing.Go(l.rest)
	}
}

// rest closes a log that was turned off.
func (l *Log) rest() {
	l.reloading.Lock()
	defer l.reloading.Unlock()
	l.mu.Lock()
	over := l.begun == 0 && !l.on
	l.mu.Unlock()
	if over {
		_ = l.replace(nil) // a sink says itself what is wrong with it
	}
}

// Note records something that is over, if the log is on.
func (l *Log) Note(kind string, who *Auth, what Request, r Response) {
	l.mu.Lock()
	on := l.on
	l.mu.Unlock()
	if on {
		e := l.event(kind, who, what)
		e.Stage, e.Response = Complete, &r
		l.put(e.line(), &hold{patience})
	}
}

// On tells whether anything is recorded.
func (l *Log) On() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.on
}

func (l *Log) event(kind string, who *Auth, what Request) Event {
	return Event{ID: newID(), Version: "1", Type: kind, Timestamp: time.Now(), Datacenter: l.Datacenter, Node: l.Node, Auth: who, Request: what}
}

// put hands a line to all sinks that are in force.
func (l *Log) put(line []byte, h *hold) {
	for {
		s := l.current.Load()
		if s == nil || s.put(line, h) {
			return
		}
	}
}

// sinks are those that are in force together.
type sinks struct {
	mu   sync.RWMutex // held for reading by who is about to write
	over bool         // others are in force, guarded by mu
	all  []*sink
}

// put hands a line to all, unless they are not in force any more.
func (s *sinks) put(line []byte, h *hold) bool {
	if !s.enter() {
		return false
	}
	for _, one := range s.all {
		one.offer(line, h)
		one.offering.Done()
	}
	return true
}

// enter keeps all from being closed, unless they are not in force any more. Who waits for room in a queue does not hold mu: others
// would wait for a reload, and that for the one who waits.
func (s *sinks) enter() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.over {
		return false
	}
	for _, one := range s.all {
		one.offering.Add(1)
	}
	return true
}

// open opens what is wanted, and takes over what is open already. The caller holds reloading.
func (l *Log) open(wanted []Sink) (*sinks, error) {
	old := l.current.Load()
	next := &sinks{}
	var fresh []*sink
	for _, w := range wanted {
		if old != nil {
			if i := slices.IndexFunc(old.all, func(s *sink) bool { return s.place == w.place() }); i >= 0 {
				if err := old.all[i].change(w); err != nil {
					return nil, errors.Join(err, closeAll(fresh))
				}
				next.all = append(next.all, old.all[i])
				continue
			}
		}
		s, err := l.openSink(w)
		if err != nil {
			return nil, errors.Join(err, closeAll(fresh))
		}
		fresh = append(fresh, s)
		next.all = append(next.all, s)
	}
	return next, nil
}

// replace puts other sinks in force and closes those that are not among them. The caller holds reloading.
func (l *Log) replace(next *sinks) error {
	old := l.current.Swap(next)
	if old == nil {
		return nil
	}
	old.mu.Lock()
	old.over = true
	old.mu.Unlock()
	var leaving []*sink
	for _, s := range old.all {
		if next == nil || !slices.Contains(next.all, s) {
			leaving = append(leaving, s)
		}
	}
	return closeAll(leaving)
}

func closeAll(all []*sink) error {
	var errs []error
	for _, s := range all {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}
