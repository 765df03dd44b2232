package agent

import "errors"

// cleanups undo what has been started, last to first.
type cleanups []func() error

func (c *cleanups) add(undo func() error) { *c = append(*c, undo) }

// run undoes all, once.
func (c *cleanups) run() error {
	var errs []error
	for len(*c) > 0 {
		last := len(*c) - 1
		undo := (*c)[last]
		*c = (*c)[:last]
		errs = append(errs, undo())
	}
	return errors.Join(errs...)
}
