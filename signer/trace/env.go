package trace

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options of FromEnv.
type Options struct {
	// Getenv reads the environment.
	Getenv func(string) string
	// Client sends the spans.
	Client *http.Client
	Logger *slog.Logger
	// Attributes of the resource, which OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME may overrule.
	Attributes map[string]string
}

// defaultTimeout of one request, as OpenTelemetry specifies.
const defaultTimeout = 10 * time.Second

// FromEnv returns the Tracer that the standard OTEL_* variables describe, nil when no endpoint is named: unlike
// the SDKs, a signer does not send to localhost by itself.
//
// It knows OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER (otlp, none), OTEL_EXPORTER_OTLP_[TRACES_]ENDPOINT, _HEADERS,
// _TIMEOUT and _PROTOCOL (http/json; http/protobuf is sent as JSON, which receivers take at the same address),
// OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG.
// Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
func FromEnv(opts Options) (*Tracer, error) {
	env := environ(opts.Getenv)
	endpoint, err := env.endpoint()
	if endpoint == "" || err != nil {
		return nil, err
	}
	t := &Tracer{exporter: &exporter{url: endpoint, client: opts.Client, log: opts.Logger, queue: make(chan *Span, queueSize)}}
	if t.header, err = headers(env.otlp("HEADERS")); err != nil {
		return nil, err
	}
	if t.timeout, err = env.timeout(); err != nil {
		return nil, err
	}
	if t.resource, err = resource(opts.Attributes, env.get("OTEL_RESOURCE_ATTRIBUTES"), env.get("OTEL_SERVICE_NAME")); err != nil {
		return nil, err
	}
	if t.threshold, err = threshold(env.get("OTEL_TRACES_SAMPLER"), env.get("OTEL_TRACES_SAMPLER_ARG")); err != nil {
		return nil, err
	}
	return t, nil
}

// environ reads variables.
type environ func(string) string

func (e environ) get(name string) string { return strings.TrimSpace(e(name)) }

// otlp is a variable of the exporter; the one for traces goes first.
func (e environ) otlp(name string) string {
	if v := e.get("OTEL_EXPORTER_OTLP_TRACES_" + name); v != "" {
		return v
	}
	return e.get("OTEL_EXPORTER_OTLP_" + name)
}

// endpoint is where spans go, "" for nowhere.
func (e environ) endpoint() (string, error) {
	address := e.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	if base := e.get("OTEL_EXPORTER_OTLP_ENDPOINT"); address == "" && base != "" {
		address = strings.TrimRight(base, "/") + "/v1/traces"
	}
	exporter := e.get("OTEL_TRACES_EXPORTER")
	if address == "" || exporter == "none" || strings.EqualFold(e.get("OTEL_SDK_DISABLED"), "true") {
		return "", nil
	}
	if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", errors.New("OTEL_EXPORTER_OTLP_ENDPOINT must be an http(s) URL, for example http://otel-collector:4318")
	}
	if exporter != "" && exporter != "otlp" {
		return "", fmt.Errorf("OTEL_TRACES_EXPORTER %q is not known here: use otlp or none", exporter)
	}
	if e.otlp("PROTOCOL") == "grpc" {
		return "", errors.New("OTEL_EXPORTER_OTLP_PROTOCOL grpc is not spoken here: use http/json with the collector's port for HTTP, 4318")
	}
	return address, nil
}

func (e environ) timeout() (time.Duration, error) {
	text := e.otlp("TIMEOUT")
	if text == "" {
		return defaultTimeout, nil
	}
	ms, err := strconv.Atoi(text)
	if err != nil || ms < 1 {
		return 0, errors.New("OTEL_EXPORTER_OTLP_TIMEOUT must be a number of milliseconds")
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// pairs reads "key=value,key=value", values percent-encoded.
func pairs(text string) (map[string]string, error) {
	list := map[string]string{}
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		key, value, ok := strings.Cut(item, "=")
		decoded, err := url.PathUnescape(strings.TrimSpace(value))
		if key = strings.TrimSpace(key); !ok || key == "" || err != nil {
			return nil, errors.New("must be key=value pairs, separated by commas")
		}
		list[key] = decoded
	}
	return list, nil
}

func headers(text string) (http.Header, error) {
	list, err := pairs(text)
	if err != nil { // the values are secret
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_HEADERS %w", err)
	}
	h := http.Header{}
	for k, v := range list {
		if strings.ContainsAny(k+v, "\r\n\x00") {
			return nil, errors.New("OTEL_EXPORTER_OTLP_HEADERS must not hold line breaks")
		}
		h.Set(k, v)
	}
	return h, nil
}

func resource(standard map[string]string, text, service string) ([]attribute, error) {
	all := map[string]string{"service.name": "uploadtenant-signer"}
	maps.Copy(all, standard)
	given, err := pairs(text)
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES %w", err)
	}
	maps.Copy(all, given)
	if service != "" {
		all["service.name"] = service
	}
	var list []Attribute
	for _, key := range slices.Sorted(maps.Keys(all)) {
		list = append(list, Attribute{key, all[key]})
	}
	return encodeAttributes(list), nil
}

// threshold of 63 random bits below which a trace is sent.
func threshold(sampler, argument string) (uint64, error) {
	const all = uint64(math.MaxInt64)
	switch strings.TrimPrefix(sampler, "parentbased_") { // an upload has no parent
	case "", "always_on":
		return all, nil
	case "always_off":
		return 0, nil
	case "traceidratio":
		ratio := 1.0
		if argument != "" {
			var err error
			if ratio, err = strconv.ParseFloat(argument, 64); err != nil || !(ratio >= 0 && ratio <= 1) {
				return 0, errors.New("OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1")
			}
		}
		if ratio == 1 {
			return all, nil
		}
		return uint64(ratio * (1 << 63)), nil
	}
	return 0, fmt.Errorf("OTEL_TRACES_SAMPLER %q is not known here: use always_on, always_off or traceidratio", sampler)
}
