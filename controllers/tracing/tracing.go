// Package tracing sends the manager's spans to an OpenTelemetry collector. The standard environment decides:
// without an endpoint there is no exporter, no goroutine and no span.
//
// See https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Name of the service, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES name another.
const serviceName = "uploadtenant-manager"

// Start returns the provider that the environment asks for, and the function that sends what is left. With
// OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT set it exports over OTLP on HTTP;
// OTEL_SDK_DISABLED=true and OTEL_TRACES_EXPORTER=none switch it off. The SDK and its exporter read the other
// OTEL_* variables by themselves.
func Start(ctx context.Context) (trace.TracerProvider, func(context.Context) error, error) {
	if !wanted() {
		return noop.NewTracerProvider(), func(context.Context) error { return nil }, nil
	}
	if setting("PROTOCOL") == "grpc" {
		return nil, nil, errors.New("OTEL_EXPORTER_OTLP_PROTOCOL=grpc: the manager exports over HTTP only: name the collector's HTTP endpoint, usually port 4318")
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("export traces: %w", err)
	}
	// What comes later wins: the environment may name the service.
	described, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", serviceName)),
		resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return nil, nil, fmt.Errorf("describe the manager for its traces: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(described))
	return provider, provider.Shutdown, nil
}

// wanted is false without an endpoint, where the exporter would try one on this machine.
func wanted() bool {
	return setting("ENDPOINT") != "" && !strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") && os.Getenv("OTEL_TRACES_EXPORTER") != "none"
}

// setting of the exporter; the one for traces goes before the one for every signal.
func setting(name string) string {
	if own := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_" + name); own != "" {
		return own
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_" + name)
}
