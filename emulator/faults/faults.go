// Package faults disturbs the emulator on demand: latency, refusals, broken connections, lost and repeated
// callbacks, late propagation. What happens is decided by a seed, so a failed run can be repeated.
package faults

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"path"
	"sync"
	"time"
)

// Config is what goes wrong. The zero value is nothing. Rates lie between 0 and 1.
type Config struct {
	// Seed decides which calls are hit. With the same seed the nth call of an operation always fares the same.
	Seed int64 `json:"seed"`
	// LatencyMs is added to every call, LatencyByOperation to calls of one operation.
	LatencyMs          int            `json:"latencyMs"`
	LatencyByOperation map[string]int `json:"latencyByOperation,omitempty"`
	// CallbackDrop is the rate of upload callbacks that are not sent, CallbackDuplicate of those that are sent
	// twice; CallbackDelayMs holds every callback back.
	CallbackDrop      float64 `json:"callbackDrop"`
	CallbackDuplicate float64 `json:"callbackDuplicate"`
	CallbackDelayMs   int     `json:"callbackDelayMs"`
	// ErrorRate is the rate of calls that are refused with ErrorCode before they do anything. ErrorStatus, when not
	// 0, replaces the HTTP status that belongs to the code.
	ErrorRate   float64 `json:"errorRate"`
	ErrorCode   string  `json:"errorCode"`
	ErrorStatus int     `json:"errorStatus,omitempty"`
	// Operations limits latencyMs, errorRate, requestDrop and responseDrop to these operations, with * as wildcard.
	// Empty means all.
	Operations []string `json:"operations"`
	// RequestDrop is the rate of calls whose connection breaks halfway through the request body, ResponseDrop of
	// those whose connection breaks halfway through the answer: they have taken effect, the caller cannot know.
	RequestDrop  float64 `json:"requestDrop"`
	ResponseDrop float64 `json:"responseDrop"`
	// RAMPropagationMs is how long changes of roles and policies take to become visible and effective, ListDelayMs
	// how long a new object takes to appear in lists.
	RAMPropagationMs int `json:"ramPropagationMs"`
	ListDelayMs      int `json:"listDelayMs"`
	// ClockOffsetMs moves the emulator's clock, back when negative.
	ClockOffsetMs int64 `json:"clockOffsetMs"`
	// ExpireTokens ends every STS credential that exists at this moment.
	ExpireTokens bool `json:"expireTokens"`
}

// DefaultErrorCode is used when a Config with an ErrorRate names no code.
const DefaultErrorCode = "ServiceUnavailable"

// statuses are the HTTP statuses of the codes that make sense to inject. Other codes need an ErrorStatus.
func statusOf(code string) int {
	switch code {
	case "ServiceUnavailable", "ServiceBusy", "QpsLimitExceeded", "DownloadTrafficRateLimitExceeded", "UploadTrafficRateLimitExceeded":
		return http.StatusServiceUnavailable
	case "InternalError":
		return http.StatusInternalServerError
	case "Throttling", "Throttling.User", "Throttling.Api":
		// The status of throttling varies between products; the gateway's list of common error codes says 400.
		return http.StatusBadRequest
	case "RequestTimeout":
		return http.StatusBadRequest
	case "AccessDenied", "NoPermission", "RequestTimeTooSkewed", "SecurityTokenExpired", "InvalidAccessKeyId":
		return http.StatusForbidden
	case "NoSuchBucket", "NoSuchKey", "EntityNotExist.Role", "EntityNotExist.Policy":
		return http.StatusNotFound
	case "TooManyRequests":
		return http.StatusTooManyRequests
	}
	return 0
}

// Parse reads a Config strictly: an unknown field, a rate outside 0..1 or text behind the object is an error that
// says what is wrong.
func Parse(r io.Reader) (Config, error) {
	var c Config
	dec := json.NewDecoder(io.LimitReader(r, 1<<20))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return c, fmt.Errorf("the faults must be one JSON object with known fields: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return c, errors.New("the faults must be one JSON object, but more text follows")
	}
	return c, c.check()
}

func (c *Config) check() error {
	if err := c.checkNumbers(); err != nil {
		return err
	}
	for _, pattern := range c.Operations {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			return fmt.Errorf("operations holds %q, which is not a name or pattern", pattern)
		}
	}
	if c.ErrorCode == "" {
		c.ErrorCode = DefaultErrorCode
	}
	if c.ErrorStatus == 0 && statusOf(c.ErrorCode) == 0 {
		return fmt.Errorf("errorCode %q has no known HTTP status: give errorStatus as well", c.ErrorCode)
	}
	if c.ErrorStatus != 0 && (c.ErrorStatus < 400 || c.ErrorStatus > 599) {
		return errors.New("errorStatus must lie between 400 and 599")
	}
	return nil
}

func (c *Config) checkNumbers() error {
	for name, rate := range map[string]float64{"callbackDrop": c.CallbackDrop, "callbackDuplicate": c.CallbackDuplicate,
		"errorRate": c.ErrorRate, "requestDrop": c.RequestDrop, "responseDrop": c.ResponseDrop} {
		if !(rate >= 0 && rate <= 1) {
			return fmt.Errorf("%s is a rate and must lie between 0 and 1", name)
		}
	}
	for name, ms := range map[string]int{"latencyMs": c.LatencyMs, "callbackDelayMs": c.CallbackDelayMs,
		"ramPropagationMs": c.RAMPropagationMs, "listDelayMs": c.ListDelayMs} {
		if ms < 0 {
			return fmt.Errorf("%s must not be negative", name)
		}
	}
	for op, ms := range c.LatencyByOperation {
		if ms < 0 {
			return fmt.Errorf("latencyByOperation of %s must not be negative", op)
		}
	}
	return nil
}

// Status is the HTTP status of the injected error.
func (c *Config) Status() int {
	if c.ErrorStatus != 0 {
		return c.ErrorStatus
	}
	return statusOf(c.ErrorCode)
}

// Plan is what happens to one call.
type Plan struct {
	Delay time.Duration
	// Status and Code are set when the call is refused.
	Status int
	Code   string
	// DropRequest and DropResponse break the connection.
	DropRequest, DropResponse bool
}

// CallbackPlan is what happens to one callback.
type CallbackPlan struct {
	Drop, Duplicate bool
	Delay           time.Duration
}

// Injector decides what goes wrong. It is safe for concurrent use.
type Injector struct {
	mu     sync.Mutex
	config Config
	active bool
	drawn  map[string]uint64
	// changed is called with the new Config whenever it changes.
	changed []func(Config)
}

// New returns an Injector that disturbs nothing.
func New() *Injector {
	return &Injector{drawn: map[string]uint64{}, config: Config{ErrorCode: DefaultErrorCode, Operations: []string{}}}
}

// OnChange registers f to be called with every new Config, for faults that live elsewhere.
func (i *Injector) OnChange(f func(Config)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.changed = append(i.changed, f)
}

// Set replaces the faults and begins the sequence of the seed anew.
func (i *Injector) Set(c Config) error {
	if err := c.check(); err != nil {
		return err
	}
	if c.Operations == nil {
		c.Operations = []string{}
	}
	i.replace(c, true)
	return nil
}

// Clear ends all faults.
func (i *Injector) Clear() {
	i.replace(Config{ErrorCode: DefaultErrorCode, Operations: []string{}}, false)
}

func (i *Injector) replace(c Config, active bool) {
	i.mu.Lock()
	i.config, i.active, i.drawn = c, active, map[string]uint64{}
	changed := i.changed
	i.mu.Unlock()
	for _, f := range changed {
		f(c)
	}
}

// Config returns the faults of now and whether there are any.
func (i *Injector) Config() (Config, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.config, i.active
}

// Clock returns base moved by ClockOffsetMs.
func (i *Injector) Clock(base func() time.Time) func() time.Time {
	return func() time.Time {
		i.mu.Lock()
		offset := i.config.ClockOffsetMs
		i.mu.Unlock()
		return base().Add(time.Duration(offset) * time.Millisecond)
	}
}

// Plan decides about one call of an operation.
func (i *Injector) Plan(operation string) Plan {
	i.mu.Lock()
	defer i.mu.Unlock()
	c := &i.config
	p := Plan{Delay: time.Duration(c.LatencyByOperation[operation]) * time.Millisecond}
	if !i.active || !c.covers(operation) {
		return p
	}
	p.Delay += time.Duration(c.LatencyMs) * time.Millisecond
	if i.hit("error", operation, c.ErrorRate) {
		p.Status, p.Code = c.Status(), c.ErrorCode
	}
	p.DropRequest = i.hit("requestDrop", operation, c.RequestDrop)
	p.DropResponse = i.hit("responseDrop", operation, c.ResponseDrop)
	return p
}

// PlanCallback decides about one callback.
func (i *Injector) PlanCallback() CallbackPlan {
	i.mu.Lock()
	defer i.mu.Unlock()
	return CallbackPlan{
		Drop:      i.hit("callbackDrop", "", i.config.CallbackDrop),
		Duplicate: i.hit("callbackDuplicate", "", i.config.CallbackDuplicate),
		Delay:     time.Duration(i.config.CallbackDelayMs) * time.Millisecond,
	}
}

func (c *Config) covers(operation string) bool {
	for _, pattern := range c.Operations {
		if ok, _ := path.Match(pattern, operation); ok {
			return true
		}
	}
	return len(c.Operations) == 0
}

// hit draws whether the next event of a kind and operation is hit. Every kind and operation has a sequence of its
// own, so that other traffic in between changes nothing. i.mu must be held.
func (i *Injector) hit(kind, operation string, rate float64) bool {
	if rate == 0 {
		return false
	}
	name := kind + "/" + operation
	n := i.drawn[name]
	i.drawn[name]++
	h := fnv.New64a()
	_ = binary.Write(h, binary.BigEndian, n)
	_, _ = io.WriteString(h, name)
	return rand.New(rand.NewPCG(uint64(i.config.Seed), h.Sum64())).Float64() < rate
}
