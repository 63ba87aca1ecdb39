package signer

import (
	"log/slog"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/guard"
	"github.com/uploadtenant/uploadtenant/signer/index"
	"github.com/uploadtenant/uploadtenant/signer/trace"
)

// traces prepares tracing when the environment names a receiver; otherwise s.trace stays nil, which is off.
func (s *Server) traces(opts Options) (err error) {
	if opts.Getenv == nil {
		return nil
	}
	s.trace, err = trace.FromEnv(trace.Options{Getenv: opts.Getenv, Client: guardedClient(opts, guard.Private, 0), Logger: s.log,
		Attributes: map[string]string{"uploadtenant.tenant": s.cfg.Tenant, "uploadtenant.bucket": s.cfg.Bucket.Name}})
	if s.trace.On() {
		s.metrics.Gauge("trace_spans_dropped", "Spans that could not be sent.", func() float64 { return float64(s.trace.Dropped()) })
	}
	return err
}

// noteGrant notes a grant: the access log names its upload, and its trace begins.
func (s *Server) noteGrant(c *call, id, contentType string, size int64) {
	if s.log.Enabled(c.r.Context(), slog.LevelDebug) {
		c.uploads = append(c.uploads, id)
	}
	if s.trace.On() {
		span := s.trace.Begin(id, trace.Grant, "", trace.Server, c.started)
		span.Set(trace.Attribute{Key: "request.id", Value: c.requestID}, trace.Attribute{Key: "upload.size", Value: size}, trace.Attribute{Key: "upload.content_type", Value: contentType})
		s.trace.End(span, s.clock())
	}
}

// traceRecord tells of the first entry of an upload into the index.
func (s *Server) traceRecord(upload *index.Upload, start time.Time) {
	span := s.trace.Begin(upload.ID, trace.Record, trace.Grant, trace.Internal, start)
	span.Set(trace.Attribute{Key: "upload.source", Value: upload.Source}, trace.Attribute{Key: "upload.size", Value: upload.Size}, trace.Attribute{Key: "upload.status", Value: upload.Status})
	s.trace.End(span, s.clock())
}

// traceHandled tells of a request about an upload whose right was granted before.
func (s *Server) traceHandled(c *call, id, name string, err error) {
	if !s.trace.On() {
		return
	}
	span := s.trace.Begin(id, name, trace.Grant, trace.Server, c.started)
	span.Set(trace.Attribute{Key: "request.id", Value: c.requestID})
	if err != nil {
		span.Fail("refused")
	}
	s.trace.End(span, s.clock())
}

// uploadLog names an upload in a log line, and its trace when there is one.
func (s *Server) uploadLog(id string) slog.Attr {
	if bits, ok := trace.Of(id); ok && s.trace.Sampled(bits) {
		return slog.Group("", slog.String("upload", id), slog.String("traceID", bits.String()))
	}
	return slog.String("upload", id)
}
