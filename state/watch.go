package state

import (
	"context"
	"reflect"
	"slices"
)

// A WatchSet is what a reading Tx has looked at. It fires once any of it has changed, never to be quiet again.
type WatchSet struct {
	channels  []<-chan struct{}
	abandoned <-chan struct{}
}

func (w *WatchSet) add(ch <-chan struct{}) {
	if w != nil && ch != nil && !slices.Contains(w.channels, ch) {
		w.channels = append(w.channels, ch)
	}
}

// Fired tells whether something has changed. It does not block.
func (w *WatchSet) Fired() bool {
	for _, ch := range w.channels {
		select {
		case <-ch:
			return true
		default:
		}
	}
	return w.Abandoned()
}

// Abandoned tells whether a restore has replaced the state that was looked at.
func (w *WatchSet) Abandoned() bool {
	select {
	case <-w.abandoned:
		return true
	default:
		return false
	}
}

// Wait blocks until something has changed or ctx is done, and tells in its error which.
func (w *WatchSet) Wait(ctx context.Context) error {
	switch len(w.channels) {
	case 0:
		return w.wait(ctx, nil, nil, nil)
	case 1:
		return w.wait(ctx, w.channels[0], nil, nil)
	case 2:
		return w.wait(ctx, w.channels[0], w.channels[1], nil)
	case 3:
		return w.wait(ctx, w.channels[0], w.channels[1], w.channels[2])
	}
	return w.waitMany(ctx)
}

func (w *WatchSet) wait(ctx context.Context, a, b, c <-chan struct{}) error {
	select {
	case <-a:
	case <-b:
	case <-c:
	case <-w.abandoned:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (w *WatchSet) waitMany(ctx context.Context) error {
	cases := []reflect.SelectCase{recv(ctx.Done()), recv(w.abandoned)}
	for _, ch := range w.channels {
		cases = append(cases, recv(ch))
	}
	if chosen, _, _ := reflect.Select(cases); chosen == 0 {
		return ctx.Err()
	}
	return nil
}

func recv(ch <-chan struct{}) reflect.SelectCase {
	return reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ch)}
}
