package aliyun

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/uploadtenant/uploadtenant/cloud"
)

// DefaultCallTimeout bounds one call. Control-plane calls of OSS and RAM answer within a second; ten
// leave room for a slow network and still end well before a reconcile does.
const DefaultCallTimeout = 10 * time.Second

// maxOpen bounds the accounts kept open, so that rotated credentials do not accumulate.
const maxOpen = 64

// Options of an Opener; the zero value is good.
type Options struct {
	// Clock defaults to time.Now.
	Clock func() time.Time
	// Getenv reads the environment credentials; it defaults to os.Getenv.
	Getenv func(string) string
	// CallTimeout of every call; it defaults to DefaultCallTimeout.
	CallTimeout time.Duration
	// Transport carries every call; it defaults to one with a connection pool of its own.
	Transport http.RoundTripper
}

// Opener opens accounts over the real SDKs. It is safe for concurrent use.
type Opener struct {
	opts Options
	mu   sync.Mutex
	open map[string]cloud.Services
}

var _ cloud.Opener = (*Opener)(nil)

// NewOpener returns an Opener.
func NewOpener(opts Options) *Opener {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Getenv == nil {
		opts.Getenv = os.Getenv
	}
	if opts.CallTimeout == 0 {
		opts.CallTimeout = DefaultCallTimeout
	}
	if opts.Transport == nil {
		opts.Transport = newTransport()
	}
	return &Opener{opts: opts, open: map[string]cloud.Services{}}
}

// newTransport pools connections per host: reconcilers run in parallel and talk to three hosts only.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          256,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   5 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// Open returns the services of an account. It makes no call; an error is about the account's description.
func (o *Opener) Open(account cloud.Account) (cloud.Services, error) {
	key, err := fingerprint(account)
	if err != nil {
		return cloud.Services{}, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if services, ok := o.open[key]; ok {
		return services, nil
	}
	services, err := o.connect(account)
	if err != nil {
		return cloud.Services{}, err
	}
	if len(o.open) >= maxOpen {
		clear(o.open)
	}
	o.open[key] = services
	return services, nil
}

func (o *Opener) connect(account cloud.Account) (cloud.Services, error) {
	creds, err := o.credentials(account)
	if err != nil {
		return cloud.Services{}, err
	}
	ramAPI, err := newRPC(o.opts, account.Region, endpointOr(account.Endpoints.RAM, "https://ram.aliyuncs.com"), creds)
	if err != nil {
		return cloud.Services{}, err
	}
	stsAPI, err := newRPC(o.opts, account.Region, stsEndpoint(account), creds)
	if err != nil {
		return cloud.Services{}, err
	}
	buckets, err := newOSS(o.opts, account, creds)
	if err != nil {
		return cloud.Services{}, err
	}
	return cloud.Services{
		Identity:    &identity{stsAPI},
		Buckets:     &bucketAPI{buckets},
		Settings:    &settingsAPI{buckets},
		CORS:        &corsAPI{buckets},
		Lifecycle:   &lifecycleAPI{buckets},
		Roles:       &roleAPI{ramAPI},
		Policies:    &policyAPI{ramAPI},
		Attachments: &attachmentAPI{ramAPI},
		Inventory:   &inventoryAPI{ramAPI},
	}, nil
}

func stsEndpoint(account cloud.Account) string {
	return endpointOr(account.Endpoints.STS, "https://sts."+account.Region+".aliyuncs.com")
}

func endpointOr(endpoint, fallback string) string {
	if endpoint == "" {
		return fallback
	}
	return endpoint
}

// fingerprint identifies an account's description without keeping its secrets in a map key.
func fingerprint(account cloud.Account) (string, error) {
	raw, err := json.Marshal(account)
	if err != nil {
		return "", fmt.Errorf("describe account: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}

// parseEndpoint splits a base URL. Plain http is taken only when it is written: the default is https.
func parseEndpoint(endpoint string) (scheme, host string, err error) {
	u, err := url.Parse(endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", "", cloud.Errorf(cloud.Invalid, "endpoint", "%q is not a base URL such as https://ram.aliyuncs.com", endpoint)
	}
	return u.Scheme, u.Host, nil
}
