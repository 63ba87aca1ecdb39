package trace

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// queueSize, batchSize and batchPause are the defaults of OpenTelemetry's batch processor.
	queueSize, batchSize, batchPause = 2048, 512, 5 * time.Second
	// attempts to send a batch, with pauses that grow from retryPause.
	attempts, retryPause = 3, time.Second
)

// exporter gathers spans and sends them in batches.
type exporter struct {
	url      string
	header   http.Header
	timeout  time.Duration
	client   *http.Client
	log      *slog.Logger
	resource []attribute
	queue    chan *Span
	dropped  atomic.Int64
}

func (e *exporter) enqueue(s *Span) {
	select {
	case e.queue <- s:
	default:
		e.dropped.Add(1)
	}
}

// Dropped counts spans that were not sent. A nil Tracer drops none.
func (t *Tracer) Dropped() int64 {
	if t == nil {
		return 0
	}
	return t.dropped.Load()
}

// Run sends spans until ctx ends, then what is left, once.
func (t *Tracer) Run(ctx context.Context) {
	if t == nil {
		return
	}
	tick := time.NewTicker(batchPause)
	defer tick.Stop()
	var batch []*Span
	for {
		select {
		case s := <-t.queue:
			if batch = append(batch, s); len(batch) < batchSize {
				continue
			}
		case <-tick.C:
		case <-ctx.Done():
			for len(t.queue) > 0 {
				batch = append(batch, <-t.queue)
			}
			t.deliver(context.WithoutCancel(ctx), batch, 1)
			return
		}
		t.deliver(ctx, batch, attempts)
		batch = batch[:0]
	}
}

// deliver sends a batch, or drops it after some attempts.
func (e *exporter) deliver(ctx context.Context, batch []*Span, tries int) {
	if len(batch) == 0 {
		return
	}
	body := e.encode(batch)
	var err error
	for n := range tries {
		var again bool
		if again, err = e.send(ctx, body); err == nil {
			return
		}
		if !again || n == tries-1 {
			break
		}
		pause := time.NewTimer(retryPause << n)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
	e.dropped.Add(int64(len(batch)))
	e.log.Warn("sending spans failed; they are dropped", "spans", len(batch), "error", err)
}

// send makes one attempt and tells whether another could help. Its errors hold neither URL nor header.
func (e *exporter) send(ctx context.Context, body []byte) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return false, errors.New("the endpoint is no URL")
	}
	req.Header = e.header.Clone()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "uploadtenant-signer")
	resp, err := e.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return true, fmt.Errorf("reach the receiver of spans: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	switch resp.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return false, nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true, fmt.Errorf("the receiver of spans answered with status %d", resp.StatusCode)
	}
	return false, fmt.Errorf("the receiver of spans answered with status %d", resp.StatusCode)
}

// The JSON form of OTLP: ids in hexadecimal, 64-bit numbers as strings.
type (
	attribute struct {
		Key   string         `json:"key"`
		Value map[string]any `json:"value"`
	}
	status struct {
		Code    int    `json:"code,omitempty"`
		Message string `json:"message,omitempty"`
	}
	span struct {
		TraceID      string      `json:"traceId"`
		SpanID       string      `json:"spanId"`
		ParentSpanID string      `json:"parentSpanId,omitempty"`
		Name         string      `json:"name"`
		Kind         int         `json:"kind"`
		Start        string      `json:"startTimeUnixNano"`
		End          string      `json:"endTimeUnixNano"`
		Attributes   []attribute `json:"attributes,omitempty"`
		Status       status      `json:"status"`
	}
)

// failed is STATUS_CODE_ERROR.
const failed = 2

func encodeAttributes(list []Attribute) []attribute {
	out := make([]attribute, 0, len(list))
	for _, a := range list {
		var value map[string]any
		switch v := a.Value.(type) {
		case int:
			value = map[string]any{"intValue": strconv.Itoa(v)}
		case int64:
			value = map[string]any{"intValue": strconv.FormatInt(v, 10)}
		case bool:
			value = map[string]any{"boolValue": v}
		default:
			value = map[string]any{"stringValue": fmt.Sprint(v)}
		}
		out = append(out, attribute{a.Key, value})
	}
	return out
}

func (e *exporter) encode(batch []*Span) []byte {
	spans := make([]span, 0, len(batch))
	for _, s := range batch {
		out := span{TraceID: s.Trace.String(), SpanID: hex.EncodeToString(s.ID[:]), Name: s.Name, Kind: s.Kind,
			Start: strconv.FormatInt(s.Start.UnixNano(), 10), End: strconv.FormatInt(s.End.UnixNano(), 10), Attributes: encodeAttributes(s.Attributes)}
		if s.Parent != (SpanID{}) {
			out.ParentSpanID = hex.EncodeToString(s.Parent[:])
		}
		if s.Failed {
			out.Status = status{failed, s.FailedReason}
		}
		spans = append(spans, out)
	}
	// It holds nothing that cannot be encoded.
	body, _ := json.Marshal(map[string]any{"resourceSpans": []any{map[string]any{
		"resource":   map[string]any{"attributes": e.resource},
		"scopeSpans": []any{map[string]any{"scope": map[string]any{"name": "github.com/uploadtenant/uploadtenant/signer"}, "spans": spans}},
	}}})
	return body
}
