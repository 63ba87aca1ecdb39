package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
)

// Load reads and validates the file. Fields it does not know are ignored, so that a newer controller can
// write for an older signer during an upgrade.
func Load(file string) (*Config, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the signer config: %w", err)
	}
	return Parse(raw)
}

// Parse reads and validates a config.
func Parse(raw []byte) (*Config, error) {
	cfg := &Config{}
	if err := json.Unmarshal(raw, cfg); err != nil {
		return nil, fmt.Errorf("parse the signer config: %w", err)
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("signer config: %w", err)
	}
	return cfg, nil
}

// Validate returns every problem of c that can be seen without I/O, joined.
func (c *Config) Validate() error {
	var p problems
	p.check(c.Tenant != "", "tenant is empty: tickets are bound to it")
	p.check(c.TenantUID != "", "tenantUID is empty")
	c.Bucket.validate(&p)
	c.Limits.validate(&p)
	p.check(c.Grant.Signature == "V4" || c.Grant.Signature == "V1", "grant.signature %q must be V4 or V1", c.Grant.Signature)
	p.check(c.Grant.Expiry >= 60 && c.Grant.Expiry <= 900, "grant.expiry %d must be between 60 and 900 seconds", c.Grant.Expiry)
	p.check(c.TicketKeysFile != "", "ticketKeysFile is empty")
	p.check((c.Index.SQLitePath == "") != (c.Index.PostgresDSNFile == ""), "index needs exactly one of sqlitePath and postgresDSNFile")
	p.check(c.Verification.ACL == "" || c.Verification.ACL == "public-read", "verification.acl %q must be public-read or empty", c.Verification.ACL)
	if m := c.Verification.MediaCheck; m != nil {
		p.check(m.Scene >= 1 && m.Scene <= 4, "verification.mediaCheck.scene %d must be 1, 2, 3 or 4", m.Scene)
		p.check(m.PushTokenFile != "", "verification.mediaCheck.pushTokenFile is empty")
		p.check(c.Auth.WeChat != nil && c.Auth.WeChat.UserFrom != UserFromUnionID, "verification.mediaCheck needs auth.wechat with openids as users")
	}
	known := []string{"", DeduplicationOff, DeduplicationUser, DeduplicationTenant}
	p.check(slices.Contains(known, c.Deduplication), "deduplication %q must be Off, User or Tenant", c.Deduplication)
	if err := c.Auth.validate(); err != nil {
		p = append(p, err)
	}
	if c.Callback.URL != "" {
		c.Callback.validate(&p)
	}
	if c.Events != nil {
		p.check(isBaseURL(c.Events.URL), "events.url must be an http(s) URL")
		p.check(c.Events.SecretFile != "", "events.secretFile is empty")
	}
	return p.joined()
}

func (b *Bucket) validate(p *problems) {
	p.check(b.Name != "", "bucket.name is empty")
	p.check(b.Region != "", "bucket.region is empty")
	p.check(strings.HasSuffix(b.Prefix, "/") && !strings.HasPrefix(b.Prefix, "/"), "bucket.prefix %q must end with a slash and not start with one", b.Prefix)
	p.check(isBaseURL(b.Endpoint), "bucket.endpoint %q must be an http(s) URL", b.Endpoint)
	p.check(isBaseURL(b.UploadURL), "bucket.uploadURL %q must be an http(s) URL", b.UploadURL)
}

func (l *Limits) validate(p *problems) {
	p.check(l.MinSize >= 0 && l.MinSize <= l.MaxSize, "limits.minSize %d must be between 0 and limits.maxSize %d", l.MinSize, l.MaxSize)
	p.check(l.MaxSize > 0 && l.MaxSize <= 5<<30, "limits.maxSize %d must be between 1 and 5 GiB", l.MaxSize)
	p.check(len(l.ContentTypes) > 0, "limits.contentTypes is empty: nothing could be uploaded")
	p.check(l.FilesPerRequest >= 1 && l.FilesPerRequest <= 100, "limits.filesPerRequest %d must be between 1 and 100", l.FilesPerRequest)
}

func (b *Callback) validate(p *problems) {
	u, err := url.Parse(b.URL)
	p.check(err == nil && isBaseURL(b.URL) && u.RawQuery == "" && u.Fragment == "" && strings.HasPrefix(u.Path, "/"),
		"callback.url %q must be an http(s) URL with a path and without a query", b.URL)
	p.check(len(b.KeyURLPrefixes) > 0, "callback.keyURLPrefixes is empty: no callback could be verified")
}

// problems collects what is wrong with a configuration.
type problems []error

func (p *problems) check(ok bool, format string, args ...any) {
	if !ok {
		*p = append(*p, fmt.Errorf(format, args...))
	}
}

func (p problems) joined() error { return errors.Join(p...) }

func isBaseURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}
