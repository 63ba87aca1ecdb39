// Package emulatortest starts an emulator for the length of a test.
package emulatortest

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator"
	"github.com/uploadtenant/uploadtenant/emulator/oss"
)

// Instance is a running emulator on loopback.
type Instance struct {
	// OSSURL and APIURL are base URLs without a trailing slash; APIURL serves RAM, STS and IMS.
	OSSURL, APIURL               string
	AccessKeyID, AccessKeySecret string
	AccountID, Region            string
	Emulator                     *emulator.Emulator
}

// Option changes how the emulator is started.
type Option func(*emulator.Options)

// WithBuckets creates buckets at start.
func WithBuckets(names ...string) Option {
	return func(o *emulator.Options) { o.Buckets = append(o.Buckets, names...) }
}

// WithClock sets the emulator's time.
func WithClock(clock func() time.Time) Option {
	return func(o *emulator.Options) { o.Clock = clock }
}

// WithDataDir keeps state in dir.
func WithDataDir(dir string) Option {
	return func(o *emulator.Options) { o.DataDir = dir }
}

// WithRules switches OSS behaviours.
func WithRules(r oss.Rules) Option {
	return func(o *emulator.Options) { o.Rules = r }
}

// WithCallbackTransport carries upload callbacks.
func WithCallbackTransport(rt http.RoundTripper) Option {
	return func(o *emulator.Options) { o.CallbackTransport = rt }
}

// WithOptions changes anything else.
func WithOptions(change func(*emulator.Options)) Option { return change }

// Start runs an emulator until the test ends, on free ports of 127.0.0.1.
func Start(tb testing.TB, opts ...Option) *Instance {
	tb.Helper()
	o := emulator.Options{
		AccessKeyID: emulator.DefaultAccessKeyID, AccessKeySecret: emulator.DefaultAccessKeySecret,
		AccountID: emulator.DefaultAccountID, Region: emulator.DefaultRegion,
	}
	for _, opt := range opts {
		opt(&o)
	}
	e, err := emulator.New(o)
	if err != nil {
		tb.Fatalf("start emulator: %v", err)
	}
	ossServer, apiServer := httptest.NewServer(e.OSS()), httptest.NewServer(e.API())
	tb.Cleanup(func() {
		ossServer.Close()
		apiServer.Close()
		if err := e.Close(); err != nil {
			tb.Errorf("close emulator: %v", err)
		}
	})
	return &Instance{
		OSSURL: ossServer.URL, APIURL: apiServer.URL, AccessKeyID: o.AccessKeyID, AccessKeySecret: o.AccessKeySecret,
		AccountID: o.AccountID, Region: o.Region, Emulator: e,
	}
}
