package index_test

import (
	"context"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/index"
)

// A caller who leaves in the middle of a query must not take a database in memory along.
func TestAnInterruptedQueryKeepsTheMemory(t *testing.T) {
	store, err := index.OpenSQLite(t.Context(), ":memory:", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.Record(t.Context(), upload("ann", "kept"), nil); err != nil {
		t.Fatal(err)
	}
	for range 300 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		_, _ = store.Claim(ctx, 8, time.Second) // interrupted or not: only what is left counts
		_, _ = store.Lookup(ctx, "kept")
		cancel()
	}
	if _, err := store.Lookup(t.Context(), "kept"); err != nil {
		t.Errorf("after interrupted queries: %v", err)
	}
	if err := store.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}
