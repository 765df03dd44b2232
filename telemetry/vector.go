package telemetry

import "sync"

// maxDimensions bounds the labels of a vector.
const maxDimensions = 5

type values [maxDimensions]string

// vector is a set of series of one name whose label values are known only when something happens.
type vector[T any] struct {
	from   *store[T]
	name   string
	labels []string

	// mu guards known, which holds at most seriesPerName series.
	mu    sync.RWMutex
	known map[values]*T
}

// Counters is a set of counters of one name that differ in the values of their labels.
type Counters struct{ vector[Counter] }

// Samples is a set of samples of one name that differ in the values of their labels.
type Samples struct{ vector[Sample] }

// Counters returns the counters of a name with the given label names, of which there may be five.
func (r *Registry) Counters(name string, labels ...string) *Counters {
	if r == nil {
		return nil
	}
	return &Counters{newVector(&r.counters, name, labels)}
}

// Samples returns the samples of a name with the given label names, of which there may be five.
func (r *Registry) Samples(name string, labels ...string) *Samples {
	if r == nil {
		return nil
	}
	return &Samples{newVector(&r.samples, name, labels)}
}

// With returns the counter for label values, one for each label name. After 256 different sets all further ones share
// the counter whose values are Overflow.
func (c *Counters) With(labelValues ...string) *Counter {
	if c == nil {
		return nil
	}
	return c.with(labelValues)
}

// With returns the sample for label values, one for each label name. After 256 different sets all further ones share
// the sample whose values are Overflow.
func (s *Samples) With(labelValues ...string) *Sample {
	if s == nil {
		return nil
	}
	return s.with(labelValues)
}

func newVector[T any](from *store[T], name string, labels []string) vector[T] {
	if len(labels) > maxDimensions {
		panic("telemetry: " + name + " has more labels than a vector takes")
	}
	return vector[T]{from: from, name: name, labels: labels, known: map[values]*T{}}
}

func (v *vector[T]) with(labelValues []string) *T {
	var key values
	copy(key[:len(v.labels)], labelValues)
	v.mu.RLock()
	found, full := v.known[key], len(v.known) >= seriesPerName
	v.mu.RUnlock()
	switch {
	case found != nil:
		return found
	case full:
		for i := range v.labels {
			key[i] = Overflow
		}
	}
	return v.resolve(key)
}

func (v *vector[T]) resolve(key values) *T {
	v.mu.Lock()
	defer v.mu.Unlock()
	if found := v.known[key]; found != nil {
		return found
	}
	labels := make([]Label, len(v.labels))
	for i, name := range v.labels {
		labels[i] = Label{name, key[i]}
	}
	made := v.from.get(identity{v.name, labels})
	v.known[key] = made
	return made
}
