package instrument

import (
	"context"
)

// Change is one write.
type Change struct {
	Operation, Resource string
	// Detail says what was different, when the caller told.
	Detail string
}

// Changes collects the writes of one reconcile. With DryRun it keeps them from happening, so that the same
// code that makes a spec true also tells what it would do.
type Changes struct {
	DryRun bool
	// List of the writes that succeeded, or that would have been made.
	List []Change
	// because explains the next write.
	because string
}

// Because explains the next write in words that hold no secret.
func (c *Changes) Because(detail string) { c.because = detail }

// Note adds a change that is no call to the cloud.
func (c *Changes) Note(operation, resource, detail string) {
	c.List = append(c.List, Change{operation, resource, detail})
}

// Interceptor records writes. It is for the calls of one goroutine.
func (c *Changes) Interceptor(ctx context.Context, call Call, next func(context.Context) error) error {
	if !call.Write {
		return next(ctx)
	}
	detail := c.because
	c.because = ""
	if !c.DryRun {
		if err := next(ctx); err != nil {
			return err
		}
	}
	c.Note(call.Operation, call.Resource, detail)
	return nil
}
