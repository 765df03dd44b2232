package session

import "errors"

// Texts of what is refused while the log is applied.
var (
	errMissingNode = errors.New("Missing node registration")
	// ErrMissing tells that a lock names no session.
	ErrMissing = errors.New("missing session")
)
