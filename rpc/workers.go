package rpc

import (
	"sync"
	"sync/atomic"
)

// workersIdle bounds how many workers wait for calls.
const workersIdle = 64

// Workers are goroutines that serve one call after another. Their stacks have grown to what handlers need, which a new
// goroutine would have to do anew for each call. There are as many as there are calls at once; few stay when those end.
type workers struct {
	calls   chan *call // taken by whoever is idle
	idle    atomic.Int64
	stopped <-chan struct{} // ends those that are idle
	running *sync.WaitGroup
}

// serve serves the call on a worker and does not wait for it.
func (w *workers) serve(k *call) {
	select {
	case w.calls <- k:
	default:
		w.running.Add(1)
		go w.work(k)
	}
}

func (w *workers) work(k *call) {
	defer w.running.Done()
	for {
		k.serve()
		if w.idle.Add(1) > workersIdle {
			w.idle.Add(-1)
			return
		}
		k = nil // whose memory is not to be kept
		select {
		case k = <-w.calls:
			w.idle.Add(-1)
		case <-w.stopped:
			return
		}
	}
}
