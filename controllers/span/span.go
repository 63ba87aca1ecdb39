// Package span makes a span of a piece of a reconcile. It knows no exporter, so that whoever imports the
// controllers does not carry one.
package span

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/controllers/outcome"
)

// Around runs work as a span of that name. A failure is told by its reason, which holds no request id and no
// secret; attributes are made only when somebody looks at them.
func Around(ctx context.Context, tracer trace.Tracer, name string, attributes func() []attribute.KeyValue, work func(context.Context) error) error {
	ctx, span := tracer.Start(ctx, name)
	defer span.End()
	if !span.IsRecording() {
		return work(ctx)
	}
	if attributes != nil {
		span.SetAttributes(attributes()...)
	}
	err := work(ctx)
	if err != nil {
		o := outcome.Of(err)
		span.SetAttributes(attribute.String("uploadtenant.reason", o.Reason))
		if o.Class != cloud.Waiting {
			span.SetStatus(codes.Error, o.Reason)
		}
	}
	return err
}
