// Package e2e asserts on a real cluster what `make demo` shows, and what happens when things are deleted or
// go wrong. It takes the demo's own steps to get there. The tests need a cluster and minutes, so they have
// the build tag e2e: `make e2e`.
package e2e
