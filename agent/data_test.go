package agent

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestLockOfOneJustKilled starts where the agent before has been killed, but has not ended altogether yet.
func TestLockOfOneJustKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		unlock, err := lockDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(lockPatience/2, func() { unlock() })
		unlock, err = lockDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
		if _, err := lockDir(dir); err == nil || !strings.Contains(err.Error(), "is in use by another agent") {
			t.Errorf("while another runs: %v", err)
		}
	})
}
