// Package signer is the HTTP service of one tenant: it hands out PostObject grants, takes the callbacks of
// OSS, keeps the index of uploads and delivers their events.
package signer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/uploadtenant/uploadtenant/signer/auth"
	"github.com/uploadtenant/uploadtenant/signer/callback"
	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/signer/events"
	"github.com/uploadtenant/uploadtenant/signer/guard"
	"github.com/uploadtenant/uploadtenant/signer/index"
	"github.com/uploadtenant/uploadtenant/signer/metrics"
	"github.com/uploadtenant/uploadtenant/signer/oss"
	"github.com/uploadtenant/uploadtenant/signer/secretfile"
	"github.com/uploadtenant/uploadtenant/signer/sts"
	"github.com/uploadtenant/uploadtenant/signer/ticket"
	"github.com/uploadtenant/uploadtenant/signer/trace"
)

// Credentials gives the current STS credential without I/O; it is asked for every request.
type Credentials interface {
	Credential() (sts.Credential, error)
}

// Options of a Server.
type Options struct {
	// Config of the tenant; it must be valid.
	Config *config.Config
	// ConfigFile, when it is not empty, is followed while Run runs: what changes in config.Live is used.
	ConfigFile string
	// Logger defaults to one that discards.
	Logger *slog.Logger
	// Clock defaults to time.Now.
	Clock func() time.Time
	// Credentials default to AssumeRoleWithOIDC as Config describes.
	Credentials Credentials
	// DevUsers accepts "Authorization: Bearer dev:<user>" and lets outgoing requests reach this host. It
	// is for development on one machine and must never be set in a cluster.
	DevUsers bool
	// Transport replaces the transport of every outgoing request when it is not nil, guards included.
	Transport http.RoundTripper
	// Getenv reads the OTEL_* variables that tell where traces go; nil traces nothing.
	Getenv func(string) string
}

// Server is one signer. Create it with New, serve API and Ops, call Run, then Close.
type Server struct {
	cfg         *config.Fixed
	live        atomic.Pointer[settings]
	configFile  string
	log         *slog.Logger
	clock       func() time.Time
	credentials Credentials
	refresher   *sts.Provider
	background  sync.WaitGroup
	stop        context.CancelFunc

	auth      auth.Authenticator
	wechat    *wechatLogin
	tickets   *ticket.Keyring
	store     *index.Store
	bucket    *oss.Client
	keys      *callback.Keys
	health    indexHealth
	usage     *usage
	probes    *probes
	deliverer *events.Deliverer
	verifier  *verifier
	media     *mediaChecker // nil when WeChat is not asked
	trace     *trace.Tracer // nil when nothing is traced
	metrics   *metrics.Metrics
	draining  atomic.Bool        // readiness fails, everything else goes on
	lastGrant atomic.Int64       // Unix second, of the last grant or the start
	granted   prometheus.Counter // files that got a grant
	answers   sync.Pool          // buffers of grant answers
	bodies    sync.Pool          // buffers of small request bodies
	api       http.Handler

	// callbackPath is the decoded external path of callback.url, "" without callbacks.
	callbackPath string
}

// New opens the index, starts to obtain credentials and builds the handlers. It makes no call that it
// waits for: readiness tells when credentials are there.
func New(ctx context.Context, opts Options) (*Server, error) {
	cfg := opts.Config
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("signer config: %w", err)
	}
	s := &Server{cfg: &cfg.Fixed, configFile: opts.ConfigFile, log: opts.Logger, clock: opts.Clock, credentials: opts.Credentials, metrics: metrics.New()}
	s.granted = s.metrics.Verdicts.WithLabelValues("upload", "")
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	s.health.clock = s.clock
	// Whoever served before may have granted a moment ago.
	s.lastGrant.Store(s.clock().Unix())
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.assemble(ctx, opts); err != nil {
		s.stop()
		if s.store != nil {
			err = errors.Join(err, s.store.Close())
		}
		return nil, err
	}
	if s.refresher != nil {
		s.background.Go(func() { s.refresher.Run(ctx) })
	}
	if s.trace.On() {
		s.background.Go(func() { s.trace.Run(ctx) })
	}
	return s, nil
}

// assemble builds the parts in the order in which they depend on each other.
func (s *Server) assemble(ctx context.Context, opts Options) error {
	var err error
	if s.tickets, err = ticket.LoadKeyring(s.cfg.TicketKeysFile, s.cfg.Tenant); err != nil {
		return err
	}
	if s.credentials == nil {
		if err := s.assumeRole(opts); err != nil {
			return err
		}
	}
	if s.auth, err = s.authenticator(opts); err != nil {
		return err
	}
	ossClient := oss.NewHTTPClient()
	if opts.Transport != nil {
		ossClient.Transport = opts.Transport
	}
	s.bucket, err = oss.New(oss.Options{Endpoint: s.cfg.Bucket.Endpoint, Region: s.cfg.Bucket.Region, Bucket: s.cfg.Bucket.Name,
		Credentials: s.credentials, HTTPClient: ossClient, Clock: s.clock})
	if err != nil {
		return err
	}
	if err := s.use(&opts.Config.Live); err != nil {
		return err
	}
	if err := s.callbacks(opts); err != nil {
		return err
	}
	if s.store, err = s.openIndex(ctx); err != nil {
		return err
	}
	s.usage, s.probes = newUsage(s.live.Load().Limits, askedLedger{s.store, &s.health}), newProbes()
	if s.cfg.Index.PostgresDSNFile == "" {
		if err := s.store.ReleaseClaims(ctx); err != nil {
			return err
		}
	}
	if err := s.traces(opts); err != nil {
		return err
	}
	if err := s.eventDelivery(opts); err != nil {
		return err
	}
	if err := s.mediaChecks(opts); err != nil {
		return err
	}
	s.verifier = &verifier{s, make(chan struct{}, 1)}
	s.registerGauges()
	s.api = s.routes()
	return nil
}

// openIndex opens the database that the tenant chose.
func (s *Server) openIndex(ctx context.Context) (*index.Store, error) {
	if file := s.cfg.Index.PostgresDSNFile; file != "" {
		schema := index.SchemaName(s.cfg.Tenant, s.cfg.Bucket.Name, s.cfg.Bucket.Prefix)
		return index.OpenPostgres(ctx, index.PostgresOptions{DSNFile: file, Schema: schema, Clock: s.clock, Logger: s.log})
	}
	return index.OpenSQLite(ctx, s.cfg.Index.SQLitePath, s.clock)
}

// assumeRole makes the server obtain its own credentials.
func (s *Server) assumeRole(opts Options) error {
	c := s.cfg.Credentials
	var client *http.Client
	if opts.Transport != nil {
		client = &http.Client{Transport: opts.Transport, Timeout: 10 * time.Second}
	}
	var source sts.Source = sts.File(c.SessionFile)
	if c.SessionFile == "" {
		var err error
		source, err = sts.New(sts.Config{Endpoint: c.STSEndpoint, RoleARN: c.RoleARN, OIDCProviderARN: c.OIDCProviderARN, TokenFile: c.TokenFile,
			SessionName: "signer-" + s.cfg.Tenant, SessionDuration: time.Duration(c.SessionDuration) * time.Second, HTTPClient: client})
		if err != nil {
			return err
		}
	}
	s.refresher = sts.NewProvider(source, sts.ProviderOptions{Clock: s.clock, OnRefresh: func(cred sts.Credential, err error) {
		if err != nil {
			s.metrics.CredentialRefreshes.WithLabelValues("failed").Inc()
			s.log.Error("obtaining STS credentials failed", "error", err, "requestID", stsRequestID(err))
			return
		}
		s.metrics.CredentialRefreshes.WithLabelValues("ok").Inc()
		s.log.Info("obtained STS credentials", "expires", cred.Expires)
	}})
	s.credentials = s.refresher
	return nil
}

func stsRequestID(err error) string {
	var e *sts.Error
	if errors.As(err, &e) {
		return e.RequestID
	}
	return ""
}

// guardedClient returns a client for URLs that the tenant names.
func guardedClient(opts Options, level guard.Level, timeout time.Duration) *http.Client {
	if opts.DevUsers {
		level = guard.Any
	}
	client := guard.Client(level, timeout)
	if opts.Transport != nil {
		client.Transport = opts.Transport
	}
	return client
}

// callbacks prepares the verification of callbacks when the tenant has them.
func (s *Server) callbacks(opts Options) error {
	if s.cfg.Callback.URL == "" {
		return nil
	}
	external, err := url.Parse(s.cfg.Callback.URL)
	if err != nil {
		return fmt.Errorf("callback.url: %w", err)
	}
	if s.callbackPath = external.Path; s.callbackPath == "" {
		s.callbackPath = "/"
	}
	if reserved(s.callbackPath) {
		return fmt.Errorf("callback.url: the path %s belongs to the signer's own API; use another one, for example /callback", s.callbackPath)
	}
	allow, err := callback.ParseAllowList(s.cfg.Callback.KeyURLPrefixes)
	if err != nil {
		return err
	}
	var client *http.Client
	if opts.Transport != nil {
		client = &http.Client{Transport: opts.Transport, Timeout: 2 * time.Second}
	}
	s.keys = callback.NewKeys(allow, client, s.clock)
	return nil
}

// eventDelivery prepares the outbox worker when the tenant wants events.
func (s *Server) eventDelivery(opts Options) error {
	if s.cfg.Events == nil {
		return nil
	}
	secrets, err := secretfile.Open(s.cfg.Events.SecretFile, func(raw []byte) (events.Secrets, error) { return events.ParseSecrets(string(raw)) }, s.clock, s.log)
	if err != nil {
		return fmt.Errorf("read the event secret: %w", err)
	}
	reach := guard.Private
	if s.cfg.Events.PublicOnly {
		reach = guard.Public
	}
	s.deliverer = events.New(events.Options{Outbox: s.store, URL: s.cfg.Events.URL, Secrets: secrets,
		Client: guardedClient(opts, reach, 15*time.Second), Clock: s.clock, Logger: s.log, Tracer: s.trace,
		Observe: func(result string, age time.Duration) {
			s.metrics.Events.WithLabelValues(result).Inc()
			if result == "delivered" {
				s.metrics.EventAge.Observe(age.Seconds())
			}
		}})
	return nil
}

// API is the handler of the public port.
func (s *Server) API() http.Handler { return s.api }

// Run delivers events, verifies uploads, sweeps the bucket and follows the config file until ctx ends and what it began is finished.
func (s *Server) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	if s.deliverer != nil {
		wg.Go(func() { s.deliverer.Run(ctx) })
	}
	if s.configFile != "" {
		wg.Go(func() { s.follow(ctx) })
	}
	wg.Go(func() { s.verifier.run(ctx) })
	wg.Go(func() { newSweeper(s).run(ctx) })
	wg.Wait()
	return nil
}

// Close stops the background work and closes the index.
func (s *Server) Close() error {
	s.stop()
	s.background.Wait()
	return s.store.Close()
}
