// Package trace tells OpenTelemetry what became of an upload. Grant, callback and delivery happen in different
// requests, often in different processes, with OSS in between, which carries no trace context. So the trace id
// is the upload id itself: both have 128 bits, of which 80 are random. Whoever knows the one knows the other.
//
// Spans go out as OTLP over HTTP in JSON. The OpenTelemetry SDK with its protobuf exporter would make the
// signer's binary a third larger.
// Sources: https://opentelemetry.io/docs/specs/otlp/#otlphttp and https://www.w3.org/TR/trace-context/
package trace

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/ticket"
)

// ID is the trace of an upload.
type ID [16]byte

// Of returns the trace of the upload with this id; ok is false when it is no upload id.
func Of(uploadID string) (id ID, ok bool) { return ticket.Bits(uploadID) }

// String is the id as trace backends show it: 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// SpanID names a span within its trace.
type SpanID [8]byte

// Well-known spans of a trace: every process can name them without having seen them.
const (
	// Grant is the root: the signer handed out the right to upload.
	Grant = "grant"
	// Record is the upload's first entry into the index, a child of Grant.
	Record = "record"
)

// Known is the id of a well-known span.
func (id ID) Known(name string) SpanID {
	sum := sha256.Sum256(append(id[:], name...))
	return SpanID(sum[:8])
}

// newSpanID is random and not zero.
func newSpanID() (s SpanID) {
	for s == (SpanID{}) {
		rand.Read(s[:]) // never fails, see crypto/rand
	}
	return s
}

// Kinds of spans, as OTLP numbers them.
const (
	Internal = 1
	Server   = 2
	Client   = 3
)

// Attribute of a span: a string, an int, an int64 or a bool.
type Attribute struct {
	Key   string
	Value any
}

// Span is one step of an upload.
type Span struct {
	Trace        ID
	ID, Parent   SpanID
	Name         string
	Kind         int
	Start, End   time.Time
	Attributes   []Attribute
	Failed       bool
	FailedReason string
}

// Tracer sends spans. A nil Tracer is off: it may be asked anything and does nothing.
type Tracer struct {
	*exporter
	// threshold of the sampled half of a trace id; above it, traces are left out.
	threshold uint64
}

// On tells whether anything is traced.
func (t *Tracer) On() bool { return t != nil }

// Sampled tells whether spans of this upload are sent. Every process decides the same, by the random end of
// the trace id, as TraceIDRatioBased does.
func (t *Tracer) Sampled(id ID) bool {
	return t != nil && binary.BigEndian.Uint64(id[8:])>>1 < t.threshold
}

// Begin returns a span of an upload that starts at start, or nil when it is not sampled. name and parent may
// be well-known; an empty parent is none.
func (t *Tracer) Begin(uploadID, name, parent string, kind int, start time.Time) *Span {
	if t == nil {
		return nil
	}
	id, ok := Of(uploadID)
	if !ok || !t.Sampled(id) {
		return nil
	}
	s := &Span{Trace: id, ID: newSpanID(), Name: name, Kind: kind, Start: start, Attributes: []Attribute{{"upload.id", uploadID}}}
	if name == Grant || name == Record {
		s.ID = id.Known(name)
	}
	if parent != "" {
		s.Parent = id.Known(parent)
	}
	return s
}

// Set adds attributes. A nil Span takes and forgets them.
func (s *Span) Set(attributes ...Attribute) {
	if s != nil {
		s.Attributes = append(s.Attributes, attributes...)
	}
}

// Fail marks the span as failed; reason must not be secret.
func (s *Span) Fail(reason string) {
	if s != nil {
		s.Failed, s.FailedReason = true, reason
	}
}

// Traceparent is the span as a W3C header, "" for nil.
func (s *Span) Traceparent() string {
	if s == nil {
		return ""
	}
	return "00-" + s.Trace.String() + "-" + hex.EncodeToString(s.ID[:]) + "-01"
}

// End sends the span. It never blocks: when the receiver is too slow, spans are dropped and counted.
func (t *Tracer) End(s *Span, at time.Time) {
	if t == nil || s == nil {
		return
	}
	s.End = at
	t.enqueue(s)
}
