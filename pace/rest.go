package pace

import (
	"context"
	"time"
)

// Rest waits for d to pass, or for the end of ctx, whose error it then returns.
func Rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
