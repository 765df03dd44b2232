package view

import "reflect"

// A key tells what a result is of.
type key struct {
	query      string
	az         string // who reads: what it may see where that is known, else its token
	datacenter string // "" is our own
	args       any
}

// size is the bytes of the texts in a key: clients choose them.
func (k key) size() int64 { return sizeOf(reflect.ValueOf(k.args)) }

func sizeOf(args reflect.Value) int64 {
	switch args.Kind() {
	case reflect.String:
		return int64(args.Len())
	case reflect.Struct:
		var n int64
		for i := range args.NumField() {
			n += sizeOf(args.Field(i))
		}
		return n
	}
	return 0
}

// What is kept is forgotten when room is needed.
type kept interface {
	unused() bool // tells whether nobody has asked since it was last called
	forget()      // unless it is in use
}

// add keeps something new under a key, unless something else has come before it, and returns what is kept.
func (v *Views) add(k key, fresh kept, size int64) kept {
	e, loaded := v.entries.LoadOrStore(k, fresh)
	if loaded {
		return e.(kept)
	}
	if count, bytes := v.count.Add(1), v.bytes.Add(size); count > v.MaxEntries || bytes > v.MaxBytes {
		v.trim()
	}
	return fresh
}

// drop is the end of what add has begun.
func (v *Views) drop(k key, size int64) {
	v.entries.Delete(k)
	v.count.Add(-1)
	v.bytes.Add(-size)
}

// trim forgets results that nobody waits for and nobody has asked for since the last trim, until the bounds are kept.
func (v *Views) trim() {
	if !v.trimmed.TryLock() {
		return
	}
	defer v.trimmed.Unlock()
	for range 2 { // the first round may only find that all were used
		v.entries.Range(func(_, value any) bool {
			if e := value.(kept); e.unused() {
				e.forget()
			}
			return v.count.Load() > v.MaxEntries*3/4 || v.bytes.Load() > v.MaxBytes*3/4
		})
		if v.count.Load() <= v.MaxEntries && v.bytes.Load() <= v.MaxBytes {
			return
		}
	}
}
