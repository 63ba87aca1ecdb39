// Package signerconfig translates an UploadTenant and its CloudAccount into the configuration of a signer.
// It is a pure function of both, without a client, because a development server without a cluster needs
// the same translation.
package signerconfig

import (
	"net/url"
	"strings"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/signer/config"
)

// Where the signer's container finds its files.
const (
	// ConfigFile is the configuration itself.
	ConfigFile = "/etc/uploadtenant/config.json"
	// TicketKeysFile holds the ticket keys.
	TicketKeysFile = "/etc/uploadtenant/tickets/keys.json"
	// TokenFile is the projected service-account token.
	TokenFile = "/var/run/secrets/uploadtenant/oidc/token"
	// JWTSecretFile is the HS256 secret of auth.jwt.secretRef.
	JWTSecretFile = "/etc/uploadtenant/secrets/jwt/secret"
	// WeChatSecretFile is the AppSecret of auth.wechat.secretRef.
	WeChatSecretFile = "/etc/uploadtenant/secrets/wechat/secret"
	// PushTokenFile is the key "token" of verification.mediaCheck.pushSecretRef, PushAESKeyFile its key
	// "encodingAESKey", which may be missing.
	PushTokenFile  = "/etc/uploadtenant/secrets/push/token"
	PushAESKeyFile = "/etc/uploadtenant/secrets/push/encodingAESKey"
	// EventsSecretFile is the signing secret of events.secretRef.
	EventsSecretFile = "/etc/uploadtenant/secrets/events/secret"
	// SessionFile is the brokered session, when the account has no OIDC provider.
	SessionFile = "/etc/uploadtenant/session/credentials.json"
	// PostgresDSNFile is the connection string of index.postgres.secretRef.
	PostgresDSNFile = "/etc/uploadtenant/secrets/index/dsn"
	// IndexFile is the embedded database.
	IndexFile = "/var/lib/uploadtenant/index.db"
)

// Build returns the signer's configuration. Both objects must have their defaults; roleARN is the role
// that the signer assumes.
func Build(tenant *v1alpha1.UploadTenant, account *v1alpha1.CloudAccount, roleARN string) config.Config {
	spec := &tenant.Spec
	c := config.Config{
		Fixed: config.Fixed{
			Tenant:    tenant.Namespace + "/" + tenant.Name,
			TenantUID: string(tenant.UID),
			Bucket: config.Bucket{
				Name:      spec.Bucket.Name,
				Region:    account.Spec.Region,
				Prefix:    spec.Bucket.Prefix,
				Endpoint:  OSSEndpoint(account),
				UploadURL: UploadURL(tenant, account),
			},
			Credentials: config.Credentials{
				RoleARN:         roleARN,
				STSEndpoint:     STSEndpoint(account),
				SessionDuration: int64(spec.Access.MaxSessionDuration.Seconds()),
			},
			Callback:       config.Callback{KeyURLPrefixes: account.Spec.CallbackKeys},
			TicketKeysFile: TicketKeysFile,
			Index:          config.Index{SQLitePath: IndexFile},
		},
		Live: config.Live{
			Limits: config.Limits{
				MinSize:         spec.Limits.Size.Min.Value(),
				MaxSize:         spec.Limits.Size.Max.Value(),
				ContentTypes:    spec.Limits.ContentTypes,
				Extensions:      spec.Limits.Extensions,
				FilesPerRequest: int(*spec.Limits.FilesPerRequest),
			},
			KeyTemplate: spec.KeyTemplate,
			Grant:       config.Grant{Signature: string(spec.Grant.Signature), Expiry: int64(spec.Grant.Expiry.Seconds())},
		},
	}
	if oidc := account.Spec.OIDC; oidc != nil {
		c.Credentials.OIDCProviderARN, c.Credentials.TokenFile = oidc.ProviderARN, TokenFile
	} else {
		c.Credentials.SessionFile = SessionFile
	}
	if spec.Index.Postgres != nil {
		c.Index = config.Index{PostgresDSNFile: PostgresDSNFile}
	}
	uploads(&c, spec)
	if spec.Callback != nil {
		c.Callback.URL = spec.Callback.URL
	}
	if spec.Bucket.CORS != nil {
		c.AllowedOrigins = spec.Bucket.CORS.AllowedOrigins
	}
	c.Auth = authConfig(&spec.Auth)
	if spec.Events != nil {
		c.Events = &config.Events{URL: spec.Events.URL, SecretFile: EventsSecretFile,
			PublicOnly: !isTrue(spec.Events.AllowPrivateAddresses) && !clusterService(spec.Events.URL)}
	}
	return c
}

// OSSEndpoint is where calls from the cluster go, a base URL without the bucket.
func OSSEndpoint(account *v1alpha1.CloudAccount) string {
	if endpoint := account.Spec.Endpoints.OSS; endpoint != "" {
		return endpoint
	}
	return "https://oss-" + account.Spec.Region + ".aliyuncs.com"
}

// STSEndpoint is where signers assume their role.
func STSEndpoint(account *v1alpha1.CloudAccount) string {
	if endpoint := account.Spec.Endpoints.STS; endpoint != "" {
		return endpoint
	}
	return "https://sts." + account.Spec.Region + ".aliyuncs.com"
}

// UploadURL is what clients post to. A stand-in for OSS, such as the emulator, has no host per bucket, so
// there the bucket is the path.
func UploadURL(tenant *v1alpha1.UploadTenant, account *v1alpha1.CloudAccount) string {
	bucket := tenant.Spec.Bucket.Name
	if host := tenant.Spec.Bucket.UploadHost; host != "" {
		return "https://" + host
	}
	if base := account.Spec.Endpoints.Upload; base != "" {
		return base + "/" + bucket
	}
	if base := account.Spec.Endpoints.OSS; base != "" && !aliyunHost(base) {
		return base + "/" + bucket
	}
	return "https://" + bucket + ".oss-" + account.Spec.Region + ".aliyuncs.com"
}

func aliyunHost(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && strings.HasSuffix(u.Hostname(), ".aliyuncs.com")
}

// RequiresTLS tells whether every way to OSS is encrypted, so that RAM may insist on it.
func RequiresTLS(tenant *v1alpha1.UploadTenant, account *v1alpha1.CloudAccount) bool {
	return strings.HasPrefix(OSSEndpoint(account), "https://") && strings.HasPrefix(UploadURL(tenant, account), "https://")
}

// uploads translates what shapes grants, reads and verification.
func uploads(c *config.Config, spec *v1alpha1.UploadTenantSpec) {
	c.Limits.PerUser, c.Limits.PerTenant = usage(spec.Limits.PerUser), usage(spec.Limits.PerTenant)
	c.Grant.AllowPrefix = spec.Grant.AllowPrefix != nil && *spec.Grant.AllowPrefix
	c.Deduplication = string(spec.Deduplication.Scope)
	c.Reads.Processes = spec.Reads.Processes
	if spec.Reads.MaxExpirySeconds != nil {
		c.Reads.MaxExpiresIn = int64(*spec.Reads.MaxExpirySeconds)
	}
	c.Verification = verification(&spec.Verification)
}

func usage(u v1alpha1.UsageLimits) config.Usage {
	var out config.Usage
	if u.RequestsPerMinute != nil {
		out.RequestsPerMinute = int(*u.RequestsPerMinute)
	}
	if u.BytesPerDay != nil {
		out.BytesPerDay = u.BytesPerDay.Value()
	}
	return out
}
