// Package await lets tests wait for what other goroutines and processes bring about.
package await

import (
	"testing"
	"time"
)

// Patience is how long a test waits before it gives up. Only a failure takes that long, so it is far above
// what a busy machine needs.
const Patience = time.Minute

// True polls until the condition holds, and fails the test with what when it never does.
func True(t testing.TB, what string, holds func() bool) {
	t.Helper()
	Nothing(t, func() string {
		if holds() {
			return ""
		}
		return what
	})
}

// Nothing polls until nothing is missing; missing says what still is, else "".
func Nothing(t testing.TB, missing func() string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(Patience)
	for {
		problem := missing()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still not after %s: %s", Patience, problem)
		}
		<-tick.C
	}
}
