// Package emulator is Alibaba Cloud on one machine: OSS with form uploads and callbacks, RAM, STS and OIDC
// providers, over the real wire protocols and with real signature checks and policy evaluation.
//
// It shares no code with the programs that are tested against it.
package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator/admin"
	"github.com/uploadtenant/uploadtenant/emulator/faults"
	"github.com/uploadtenant/uploadtenant/emulator/iam"
	"github.com/uploadtenant/uploadtenant/emulator/oss"
	"github.com/uploadtenant/uploadtenant/emulator/store"
	"github.com/uploadtenant/uploadtenant/emulator/wechat"
)

// Defaults of Options.
const (
	DefaultAccountID       = "1234567890123456"
	DefaultRegion          = "cn-hangzhou"
	DefaultAccessKeyID     = "LTAI5tEmulatorAdmin0000"
	DefaultAccessKeySecret = "EmulatorAdminSecret0000000000"
)

// Options configure an Emulator. The zero value works: one account, in memory.
type Options struct {
	// AccessKeyID and AccessKeySecret belong to the RAM user "admin", which may do everything.
	AccessKeyID, AccessKeySecret string
	// AccountID is the 16-digit id of the account. Default DefaultAccountID.
	AccountID string
	// Region is a general region id such as cn-hangzhou. Default DefaultRegion.
	Region string
	// DataDir keeps objects, buckets, roles and the callback key across restarts, kill -9 included. Empty: nothing is kept.
	DataDir string
	// Buckets are created at start when they do not exist: private, with public access blocked.
	Buckets []string
	// Clock is the emulator's time. Default time.Now.
	Clock func() time.Time
	// Logger receives one line per request. Default discards.
	Logger *slog.Logger
	// Rules switch OSS behaviours.
	Rules oss.Rules
	// Endpoints are further host names that buckets are subdomains of.
	Endpoints []string
	// CallbackTransport carries upload callbacks, for example straight into a handler whatever host is named.
	CallbackTransport http.RoundTripper
	// CallbackKeyBits is the size of the RSA key that signs callbacks. Default 512, as in the real service.
	CallbackKeyBits int
	// CallbackKeyURL is sent as the address of the public key. Default http://HOST/_emulator/callback_pub_key.pem, where
	// HOST is the one that the upload was sent to.
	CallbackKeyURL string
	// JWKS maps an OIDC issuer to the URL or file of its keys, when they are not where its discovery document says.
	JWKS map[string]string
	// OIDCClient fetches discovery documents and keys. Default: certificates of the system, 5 s timeout.
	OIDCClient *http.Client
	// RootAccessKeyID and RootAccessKeySecret, when set, are a key of the account itself, which STS refuses.
	RootAccessKeyID, RootAccessKeySecret string
	// WeChatApps maps the appid of a mini-program to its secret. Empty accepts every pair.
	WeChatApps map[string]string
	// WeChatPush receives the results of media checks.
	WeChatPush wechat.Push
	// Faults, when set, are in force from the start.
	Faults *faults.Config
}

// Emulator is one emulated account. It is safe for concurrent use.
type Emulator struct {
	opts  Options
	store *store.Store
	iam   *iam.Service
	oss   *oss.Server
	// admin disturbs, records and shows.
	admin  *admin.Admin
	wechat *wechat.Service
}

// New starts an emulator. Close it to release its files.
func New(opts Options) (*Emulator, error) {
	opts = withDefaults(opts)
	e := &Emulator{opts: opts}
	if err := e.open(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func withDefaults(opts Options) Options {
	set := func(s *string, standard string) {
		if *s == "" {
			*s = standard
		}
	}
	set(&opts.AccessKeyID, DefaultAccessKeyID)
	set(&opts.AccessKeySecret, DefaultAccessKeySecret)
	set(&opts.AccountID, DefaultAccountID)
	set(&opts.Region, DefaultRegion)
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.CallbackKeyBits == 0 {
		opts.CallbackKeyBits = oss.CallbackKeyBits
	}
	return opts
}

func (e *Emulator) open() error {
	e.admin = admin.New(e.opts.Clock)
	e.opts.Clock = e.admin.Clock() // the fault clockOffsetMs moves the time of everything
	dir := func(name string) string {
		if e.opts.DataDir == "" {
			return ""
		}
		return filepath.Join(e.opts.DataDir, name)
	}
	if e.opts.DataDir != "" {
		if err := os.MkdirAll(e.opts.DataDir, 0o700); err != nil {
			return fmt.Errorf("create data directory: %w", err)
		}
	}
	var err error
	if e.store, err = store.Open(store.Options{Dir: dir("oss"), Clock: e.opts.Clock}); err != nil {
		return fmt.Errorf("open object store: %w", err)
	}
	if e.iam, err = iam.New(iam.Options{
		AccountID: e.opts.AccountID, AccessKeyID: e.opts.AccessKeyID, AccessKeySecret: e.opts.AccessKeySecret,
		Region: e.opts.Region, DataDir: dir("iam"), Clock: e.opts.Clock, Logger: e.opts.Logger,
		HTTPClient: e.opts.OIDCClient, JWKS: e.opts.JWKS, Hooks: e.admin.APIHooks(),
		RootAccessKeyID: e.opts.RootAccessKeyID, RootAccessKeySecret: e.opts.RootAccessKeySecret,
	}); err != nil {
		return fmt.Errorf("open account: %w", err)
	}
	key, err := callbackKey(dir("callback_key.json"), e.opts.CallbackKeyBits)
	if err != nil {
		return err
	}
	e.oss = oss.New(oss.Options{
		AccountID: e.opts.AccountID, Region: e.opts.Region, Store: e.store, Identity: e.iam, Rules: e.opts.Rules,
		Endpoints: e.opts.Endpoints, Clock: e.opts.Clock, Logger: e.opts.Logger, CallbackKey: key,
		CallbackKeyURL: e.opts.CallbackKeyURL, CallbackTransport: e.opts.CallbackTransport,
		Hooks: e.admin.OSSHooks(), Admin: e.admin.Handler(),
	})
	e.admin.Use(e.iam, admin.StoreStorage{Store: e.store})
	e.wechat = wechat.New(wechat.Options{
		Apps: e.opts.WeChatApps, Push: e.opts.WeChatPush, Clock: e.opts.Clock, Logger: e.opts.Logger,
		Disturb: e.admin.DisturbWeChat, Done: e.admin.RecordWeChat,
	})
	if e.opts.Faults != nil {
		if err := e.admin.Faults.Set(*e.opts.Faults); err != nil {
			return fmt.Errorf("faults: %w", err)
		}
	}
	return e.seed()
}

func (e *Emulator) seed() error {
	for _, name := range e.opts.Buckets {
		err := e.oss.CreateBucket(name)
		if err != nil && !errors.Is(err, store.ErrBucketExists) {
			return fmt.Errorf("create bucket %s: %w", name, err)
		}
	}
	return nil
}

// callbackKey reads the key of an earlier run, or makes one and keeps it when there is a file to keep it in.
func callbackKey(file string, bits int) (*oss.CallbackKey, error) {
	if file == "" {
		return oss.NewCallbackKey(bits)
	}
	data, err := os.ReadFile(file)
	if err == nil {
		key := &oss.CallbackKey{}
		if err := json.Unmarshal(data, key); err != nil {
			return nil, fmt.Errorf("read callback key %s: %w", file, err)
		}
		return key, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read callback key: %w", err)
	}
	key, err := oss.NewCallbackKey(bits)
	if err != nil {
		return nil, err
	}
	if data, err = json.Marshal(key); err != nil {
		return nil, fmt.Errorf("encode callback key: %w", err)
	}
	// Rename makes the key appear whole: half of one would stop the next start.
	if err := os.WriteFile(file+".new", data, 0o600); err != nil {
		return nil, fmt.Errorf("keep callback key: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return nil, fmt.Errorf("keep callback key: %w", err)
	}
	return key, nil
}

// OSS serves the OSS protocol and, below /_emulator/, the emulator's own pages.
func (e *Emulator) OSS() http.Handler { return e.oss }

// API serves the RPC protocol of RAM, STS and IMS, and WeChat, whose paths are its own.
func (e *Emulator) API() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", e.iam.Handler())
	for _, path := range wechat.Paths() {
		mux.Handle(path, e.wechat.Handler())
	}
	return mux
}

// WeChat serves the API of WeChat alone.
func (e *Emulator) WeChat() http.Handler { return e.wechat.Handler() }

// WeChatService is the WeChat half, for settings that have no place in its API.
func (e *Emulator) WeChatService() *wechat.Service { return e.wechat }

// Admin holds the faults and the request log.
func (e *Emulator) Admin() *admin.Admin { return e.admin }

// Server is the OSS half, for settings that have no place in the OSS protocol.
func (e *Emulator) Server() *oss.Server { return e.oss }

// IAM is the identity half, for settings that have no place in the RPC protocols.
func (e *Emulator) IAM() *iam.Service { return e.iam }

// CallbackKeyPEM is the public key that verifies callbacks.
func (e *Emulator) CallbackKeyPEM() []byte { return e.oss.CallbackKeyPEM() }

// Close releases the files. What was acknowledged is on disk already.
func (e *Emulator) Close() error {
	var errs []error
	if e.wechat != nil {
		e.wechat.Close()
	}
	if e.store != nil {
		errs = append(errs, e.store.Close())
	}
	if e.iam != nil {
		errs = append(errs, e.iam.Close())
	}
	return errors.Join(errs...)
}
