// Package devmode runs one upload tenant on one machine without a cluster: the emulator of Alibaba Cloud and
// the tenant's signer in one process, talking HTTP over loopback, from the YAML that a cluster would get.
// docs/adr/0008-dev-mode.md says what is real here and what is not.
package devmode

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/aliyun"
	"github.com/uploadtenant/uploadtenant/controllers/signerconfig"
	"github.com/uploadtenant/uploadtenant/controllers/signerobjects"
	"github.com/uploadtenant/uploadtenant/devmode/console"
	"github.com/uploadtenant/uploadtenant/devmode/manifest"
	"github.com/uploadtenant/uploadtenant/emulator"
	"github.com/uploadtenant/uploadtenant/policy"
	"github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/signer/sts"
)

// Defaults of an account that the file says nothing about.
const (
	DefaultAccountID = "1234567890123456"
	DefaultRegion    = "cn-hangzhou"
)

// drainTimeout bounds how long running requests may take after the end was asked for; an upload through
// the emulator on loopback is done by then.
const drainTimeout = 10 * time.Second

// Options of Start.
type Options struct {
	// Manifest of the tenant. Required.
	Manifest *manifest.Manifest
	// Addr, OSSAddr, APIAddr and OpsAddr are host:port of the signer, the emulated OSS, the emulated RAM and
	// STS, and the signer's health and metrics. Port 0 takes a free one.
	Addr, OSSAddr, APIAddr, OpsAddr string
	// UploadURL is the base URL of the emulated OSS as clients see it; empty derives it from OSSAddr. A
	// phone on the same network needs it.
	UploadURL string
	// DataDir survives a restart; empty keeps everything in memory.
	DataDir string
	// Clock defaults to time.Now.
	Clock func() time.Time
	// Configure may change the signer's configuration before it starts.
	Configure func(*config.Config)
	// Logger of both parts. Required.
	Logger *slog.Logger
}

// Server is a running tenant.
type Server struct {
	// SignerURL, OSSURL, APIURL and OpsURL are base URLs without a trailing slash.
	SignerURL, OSSURL, APIURL, OpsURL string
	// UploadURL is what clients post to.
	UploadURL string
	// Tenant and Account as they are in effect, with all defaults.
	Tenant  *v1alpha1.UploadTenant
	Account *v1alpha1.CloudAccount
	// AdminKeyFile holds the AccessKey of the emulator's administrator.
	AdminKeyFile string
	// EventsSecretFile holds the secret that events are signed with; empty when the tenant wants no events.
	EventsSecretFile string

	log      *slog.Logger
	state    *state
	emulator *emulator.Emulator
	signer   *signer.Server
	// doors in the order in which they close: OSS first, because it calls the signer.
	doors  []*http.Server
	failed chan error
	// ready is set when Start is done.
	ready atomic.Bool
	// background is the signer's outbox and the renewal of its credentials; stop ends both.
	background sync.WaitGroup
	stop       context.CancelFunc
}

// Start brings the tenant up and returns when it can be used. The caller must call Wait.
func Start(ctx context.Context, opts Options) (_ *Server, err error) {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	listeners, err := listenAll(ctx, opts)
	if err != nil {
		return nil, err
	}
	st, err := openState(opts.DataDir)
	if err != nil {
		listeners.close()
		return nil, err
	}
	s := &Server{
		SignerURL: baseURL(listeners.signer), OSSURL: baseURL(listeners.oss),
		APIURL: baseURL(listeners.api), OpsURL: baseURL(listeners.ops),
		log: opts.Logger, state: st, failed: make(chan error, 4),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(ctx))
			listeners.close()
		}
	}()
	s.describe(opts)
	id, err := newIdentity(st, opts.Clock, s.Tenant.Namespace, signerobjects.Name(s.Tenant))
	if err != nil {
		return nil, err
	}
	admin, err := s.startEmulator(opts, id, listeners)
	if err != nil {
		return nil, err
	}
	if err := s.prepareCloud(ctx, opts, admin); err != nil {
		return nil, err
	}
	if err := s.startSigner(ctx, opts, id, listeners); err != nil {
		return nil, err
	}
	s.ready.Store(true)
	return s, nil
}

// emulatorLogger is quiet about the dozen calls that prepare the cloud: nobody who starts a tenant asked
// about them. Refusals are heard.
func (s *Server) emulatorLogger(l *slog.Logger) *slog.Logger {
	return slog.New(gate{l.With(console.PartKey, "emulator").Handler(), &s.ready})
}

// gate lets records below a warning pass once it is open.
type gate struct {
	slog.Handler
	open *atomic.Bool
}

// Enabled implements slog.Handler.
func (g gate) Enabled(ctx context.Context, level slog.Level) bool {
	return (g.open.Load() || level >= slog.LevelWarn) && g.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (g gate) WithAttrs(attrs []slog.Attr) slog.Handler {
	return gate{g.Handler.WithAttrs(attrs), g.open}
}

// WithGroup implements slog.Handler.
func (g gate) WithGroup(name string) slog.Handler { return gate{g.Handler.WithGroup(name), g.open} }

// describe completes tenant and account: the account of the file keeps its id and region, and everything
// else about it is the emulator's.
func (s *Server) describe(opts Options) {
	s.Tenant = opts.Manifest.Tenant.DeepCopy()
	s.Tenant.Default()
	s.Tenant.UID = stableUID(s.Tenant.Namespace, s.Tenant.Name)
	s.Account = &v1alpha1.CloudAccount{}
	s.Account.Name = s.Tenant.Spec.AccountRef.Name
	spec := &s.Account.Spec
	spec.AccountID, spec.Region = DefaultAccountID, DefaultRegion
	if given := opts.Manifest.Account; given != nil {
		spec.AccountID, spec.Region = given.Spec.AccountID, given.Spec.Region
	}
	s.UploadURL = strings.TrimSuffix(opts.UploadURL, "/")
	if s.UploadURL == "" {
		s.UploadURL = s.OSSURL
	}
	spec.Endpoints = v1alpha1.AccountEndpoints{OSS: s.OSSURL, RAM: s.APIURL, STS: s.APIURL, Upload: s.UploadURL}
	spec.OIDC = &v1alpha1.AccountOIDC{ProviderARN: "acs:ram::" + spec.AccountID + ":oidc-provider/" + providerName, Issuer: issuerURL}
	spec.CallbackKeys = []string{s.OSSURL + "/_emulator/"}
	s.Account.Default()
}

// stableUID is the tenant's UID, the same in every run as in a cluster.
func stableUID(namespace, name string) types.UID {
	sum := sha256.Sum256([]byte("kubectl-uploads dev\x00" + namespace + "\x00" + name))
	h := hex.EncodeToString(sum[:16])
	return types.UID(strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-"))
}

func (s *Server) startEmulator(opts Options, id *identity, l *listeners) (accessKey, error) {
	admin, file, err := s.state.adminKey()
	if err != nil {
		return accessKey{}, err
	}
	s.AdminKeyFile = file
	var callbackURL string
	if s.Tenant.Spec.Callback != nil {
		callbackURL = s.Tenant.Spec.Callback.URL
	}
	callbacks, err := newCallbackTransport(callbackURL, l.signer.Addr().String())
	if err != nil {
		return accessKey{}, fmt.Errorf("spec.callback.url: %w", err)
	}
	push, err := s.weChatPush(opts.Manifest)
	if err != nil {
		return accessKey{}, err
	}
	s.emulator, err = emulator.New(emulator.Options{
		AccessKeyID: admin.ID, AccessKeySecret: admin.Secret,
		AccountID: s.Account.Spec.AccountID, Region: s.Account.Spec.Region,
		DataDir: s.state.emulatorDir(), Clock: opts.Clock, Logger: s.emulatorLogger(opts.Logger),
		CallbackTransport: callbacks, CallbackKeyURL: s.OSSURL + "/_emulator/callback_pub_key.pem",
		JWKS: map[string]string{issuerURL: id.jwksFile}, WeChatApps: s.weChatApps(opts.Manifest), WeChatPush: push,
	})
	if err != nil {
		return accessKey{}, fmt.Errorf("start the emulator: %w", err)
	}
	s.serve(l.oss, s.emulator.OSS())
	s.serve(l.api, s.emulator.API())
	return admin, nil
}

// prepareCloud makes true what the controller would make true.
func (s *Server) prepareCloud(ctx context.Context, opts Options, admin accessKey) error {
	if err := registerProvider(ctx, s.APIURL, admin, opts.Clock()); err != nil {
		return err
	}
	services, err := aliyun.NewOpener(aliyun.Options{Clock: opts.Clock}).Open(cloud.Account{
		ID: s.Account.Spec.AccountID, Region: s.Account.Spec.Region,
		Endpoints:   cloud.Endpoints{OSS: s.OSSURL, RAM: s.APIURL, STS: s.APIURL},
		Credentials: cloud.Credentials{Static: &cloud.StaticCredentials{AccessKeyID: admin.ID, AccessKeySecret: admin.Secret}},
	})
	if err != nil {
		return err
	}
	if _, err := provision(ctx, services, s.Tenant, s.Account); err != nil {
		return fmt.Errorf("prepare the emulated cloud: %w", err)
	}
	return nil
}

func (s *Server) startSigner(ctx context.Context, opts Options, id *identity, l *listeners) error {
	cfg, err := s.signerConfig(opts.Manifest, id)
	if err != nil {
		return err
	}
	if opts.Configure != nil {
		opts.Configure(&cfg)
	}
	client, err := sts.New(sts.Config{
		Endpoint: cfg.Credentials.STSEndpoint, RoleARN: cfg.Credentials.RoleARN, OIDCProviderARN: cfg.Credentials.OIDCProviderARN,
		TokenFile: cfg.Credentials.TokenFile, SessionName: "kubectl-uploads", SessionDuration: time.Duration(cfg.Credentials.SessionDuration) * time.Second,
	})
	if err != nil {
		return err
	}
	credentials := sts.NewProvider(assume{id, client}, sts.ProviderOptions{Clock: opts.Clock})
	if err := credentials.Refresh(ctx); err != nil {
		return fmt.Errorf("assume the tenant's role: %w", err)
	}
	s.signer, err = signer.New(ctx, signer.Options{
		Config: &cfg, Logger: opts.Logger.With(console.PartKey, "signer"), Clock: opts.Clock,
		Credentials: credentials, DevUsers: true, Getenv: os.Getenv,
	})
	if err != nil {
		return fmt.Errorf("start the signer: %w", err)
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.background.Go(func() { credentials.Run(run) })
	s.background.Go(func() {
		if err := s.signer.Run(run); err != nil {
			s.failed <- fmt.Errorf("the signer stopped: %w", err)
		}
	})
	s.serve(l.signer, s.signer.API())
	s.serve(l.ops, s.signer.Ops())
	return nil
}

// signerConfig is the controller's translation, with files of this machine instead of a pod's.
func (s *Server) signerConfig(m *manifest.Manifest, id *identity) (config.Config, error) {
	owner := policy.Owner{Cluster: clusterID, Namespace: s.Tenant.Namespace, Name: s.Tenant.Name}
	cfg := signerconfig.Build(s.Tenant, s.Account, policy.RoleARN(s.Account.Spec.AccountID, owner.ResourceName()))
	cfg.Credentials.TokenFile = id.tokenFile()
	cfg.Index = config.Index{SQLitePath: s.state.database()} // also of a tenant with PostgreSQL
	var err error
	if cfg.TicketKeysFile, err = s.state.ticketKeys(); err != nil {
		return cfg, fmt.Errorf("keep the ticket keys: %w", err)
	}
	if cfg.Auth.JWT != nil && cfg.Auth.JWT.HS256SecretFile != "" {
		if ref := s.Tenant.Spec.Auth.JWT.SecretRef; m.Secrets[ref.Name] == nil {
			s.log.Warn("the file has no Secret for spec.auth.jwt, so only dev tokens are accepted; add it as another YAML document to accept real ones",
				"secret", s.Tenant.Namespace+"/"+ref.Name)
			cfg.Auth.JWT = nil
		} else if cfg.Auth.JWT.HS256SecretFile, err = s.secretFile(m, "jwt-secret", "spec.auth.jwt", *ref); err != nil {
			return cfg, err
		}
	}
	if cfg.Auth.WeChat != nil {
		if err := s.weChatConfig(cfg.Auth.WeChat, m); err != nil {
			return cfg, err
		}
	}
	if check := cfg.Verification.MediaCheck; check != nil {
		if err := s.mediaCheckConfig(check, m); err != nil {
			return cfg, err
		}
	}
	if cfg.Events == nil {
		return cfg, nil
	}
	if ref := s.Tenant.Spec.Events.SecretRef; m.Secrets[ref.Name] != nil {
		s.EventsSecretFile, err = s.secretFile(m, "events-secret-given", "spec.events", ref)
	} else {
		s.EventsSecretFile, err = s.state.eventsSecret()
	}
	cfg.Events.SecretFile = s.EventsSecretFile
	return cfg, err
}

// secretFile writes a value of the file's Secrets where the signer reads it.
func (s *Server) secretFile(m *manifest.Manifest, name, field string, ref v1alpha1.SecretKeyReference) (string, error) {
	value, ok := m.Secrets[ref.Name][ref.Key]
	if !ok {
		return "", fmt.Errorf("%s.secretRef names key %q of Secret %s/%s, and the Secret of the file has no such key: add it, or leave the Secret out",
			field, ref.Key, s.Tenant.Namespace, ref.Name)
	}
	if err := s.state.write(name, value); err != nil {
		return "", err
	}
	return s.state.keys() + "/" + name, nil
}

// serve answers on a listener until close. A failure ends Wait.
func (s *Server) serve(l net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	s.doors = append(s.doors, server)
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
}

// Wait serves until ctx ends or a part fails, then drains: running requests finish, recorded events stay
// in the outbox.
func (s *Server) Wait(ctx context.Context) error {
	var err error
	select {
	case <-ctx.Done():
	case err = <-s.failed:
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	return errors.Join(err, s.close(drain))
}

// close stops what runs, OSS first: an upload that has arrived still gets its callback answered and its
// record written by the signer behind it.
func (s *Server) close(ctx context.Context) error {
	var errs []error
	for _, door := range s.doors {
		if err := door.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("requests were still running: %w", errors.Join(err, door.Close())))
		}
	}
	if s.stop != nil {
		s.stop()
	}
	s.background.Wait()
	if s.signer != nil {
		errs = append(errs, s.signer.Close())
	}
	if s.emulator != nil {
		errs = append(errs, s.emulator.Close())
	}
	s.state.close()
	return errors.Join(errs...)
}
