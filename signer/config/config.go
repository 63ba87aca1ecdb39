// Package config is the only contract between the controller, which writes it, and the signer, which
// reads it: one JSON file from a ConfigMap. It names secrets by the path of a mounted file and never
// holds one. Sizes are bytes and durations are seconds, unless a name says otherwise.
package config

// Config is everything a signer needs to know about its tenant. Every field is in one of its two parts, which
// decides how a change reaches a running signer.
type Config struct {
	Fixed
	Live
}

// Fixed is what a process keeps for its life, because connections, caches, mounted files or identities hang
// on it: the controller replaces the pods when it changes.
type Fixed struct {
	// Tenant is "namespace/name" of the UploadTenant. Tickets are bound to it and not to the UID, so that a
	// tenant which is created again opens its old tickets once its keys are restored.
	Tenant string `json:"tenant"`
	// TenantUID is the UID of the UploadTenant. Nothing that outlives the object depends on it.
	TenantUID string `json:"tenantUID"`

	Bucket      Bucket      `json:"bucket"`
	Credentials Credentials `json:"credentials"`
	Auth        Auth        `json:"auth"`
	Callback    Callback    `json:"callback"`
	// Events is nil when the tenant wants none.
	Events *Events `json:"events,omitempty"`
	// TicketKeysFile holds the ticket keys: {"current":"<id>","keys":{"<id>":"<base64 of 32 bytes>"}}.
	TicketKeysFile string       `json:"ticketKeysFile"`
	Index          Index        `json:"index"`
	Verification   Verification `json:"verification,omitzero"`
}

// Live is what a running signer follows: it reads its file again every few seconds, and the next request is
// judged by what the file says.
type Live struct {
	Limits Limits `json:"limits"`
	// KeyTemplate with the placeholders {prefix} {user} {yyyy} {mm} {dd} {id} {ext}.
	KeyTemplate string `json:"keyTemplate"`
	Grant       Grant  `json:"grant"`
	// AllowedOrigins are the browser origins that the signer answers CORS for.
	AllowedOrigins []string `json:"allowedOrigins,omitempty"`
	Reads          Reads    `json:"reads,omitzero"`
	// Deduplication is "User" when empty: a file that the same user has stored is not uploaded again.
	Deduplication string `json:"deduplication,omitempty"`
}

// Bucket is where uploads go.
type Bucket struct {
	Name   string `json:"name"`
	Region string `json:"region"`
	Prefix string `json:"prefix"`
	// Endpoint for the signer's own calls, for example https://oss-cn-hangzhou-internal.aliyuncs.com.
	Endpoint string `json:"endpoint"`
	// UploadURL that clients post to, for example https://family-album.oss-cn-hangzhou.aliyuncs.com.
	UploadURL string `json:"uploadURL"`
}

// Credentials tells how the signer becomes its RAM role: AssumeRoleWithOIDC with a projected token.
type Credentials struct {
	RoleARN         string `json:"roleARN"`
	OIDCProviderARN string `json:"oidcProviderARN"`
	TokenFile       string `json:"tokenFile"`
	// STSEndpoint is a base URL, for example https://sts.cn-hangzhou.aliyuncs.com.
	STSEndpoint     string `json:"stsEndpoint"`
	SessionDuration int64  `json:"sessionDuration"`
	// SessionFile holds a session that the manager keeps fresh, for clusters whose tokens STS does not take.
	// OIDCProviderARN and TokenFile are empty then.
	SessionFile string `json:"sessionFile,omitempty"`
}

// Limits bound every upload.
type Limits struct {
	MinSize int64 `json:"minSize"`
	MaxSize int64 `json:"maxSize"`
	// ContentTypes are lower-case type/subtype or type/*.
	ContentTypes []string `json:"contentTypes"`
	// Extensions are lower-case without the dot; empty allows all.
	Extensions      []string `json:"extensions,omitempty"`
	FilesPerRequest int      `json:"filesPerRequest"`
	// PerUser and PerTenant bound how much may be asked for; zero values are no limit.
	PerUser   Usage `json:"perUser,omitzero"`
	PerTenant Usage `json:"perTenant,omitzero"`
}

// Usage bounds requests and bytes. Each replica of a signer counts what it granted itself, and all count
// what was recorded.
type Usage struct {
	// RequestsPerMinute with bursts of a quarter of it.
	RequestsPerMinute int `json:"requestsPerMinute,omitempty"`
	// BytesPerDay of uploads, by the UTC day.
	BytesPerDay int64 `json:"bytesPerDay,omitempty"`
}

// Grant shapes the signed policies.
type Grant struct {
	// Signature is "V4", or "V1" for an old account: V1 is retired for new accounts and new buckets.
	Signature string `json:"signature"`
	// Expiry of a grant, at least; large files get longer, see MinBytesPerSecond.
	Expiry int64 `json:"expiry"`
	// MinBytesPerSecond is the slowest client that is waited for: a file gets size divided by it, up to 15
	// minutes. Zero means 262144.
	MinBytesPerSecond int64 `json:"minBytesPerSecond,omitempty"`
	// AllowPrefix serves GET /v1/policy, one grant for many files below the user's folder. It pins less: any
	// name, and any size and type within the limits.
	AllowPrefix bool `json:"allowPrefix,omitempty"`
}

// Reads shape presigned downloads.
type Reads struct {
	// MaxExpiresIn of a URL; zero means 3600.
	MaxExpiresIn int64 `json:"maxExpiresIn,omitempty"`
	// Processes are the values of x-oss-process that clients may ask for, for example "style/thumb" or
	// "image/resize,w_200".
	Processes []string `json:"processes,omitempty"`
}

// Deduplication scopes.
const (
	DeduplicationOff    = "Off"
	DeduplicationUser   = "User"
	DeduplicationTenant = "Tenant"
)

// Verification happens after an upload is recorded and before it is completed.
type Verification struct {
	// Sniff reads the first bytes of each object and holds them against its content type.
	Sniff bool `json:"sniff,omitempty"`
	// Delete removes an object whose content is something else; otherwise it stays where it is, private and
	// tagged "uploadtenant-status: rejected", and cannot be read through the signer.
	Delete bool `json:"delete,omitempty"`
	// Tags are set on every verified object.
	Tags map[string]string `json:"tags,omitempty"`
	// ACL is set on every verified object: "public-read", or empty to leave it private.
	ACL string `json:"acl,omitempty"`
	// MediaCheck asks WeChat about images and sounds; nil when the tenant does not. It needs Auth.WeChat.
	MediaCheck *MediaCheck `json:"mediaCheck,omitempty"`
}

// MediaCheck asks WeChat's mediaCheckAsync, whose verdict comes as a push message.
type MediaCheck struct {
	// Scene is 1 (profile), 2 (comment), 3 (forum) or 4 (social log).
	Scene int `json:"scene"`
	// PushTokenFile holds the token that signs push messages.
	PushTokenFile string `json:"pushTokenFile"`
	// PushAESKeyFile holds the EncodingAESKey. When the file is there, messages in the clear are refused.
	PushAESKeyFile string `json:"pushAESKeyFile,omitempty"`
	// AcceptReview completes uploads that WeChat wants a person to look at.
	AcceptReview bool `json:"acceptReview,omitempty"`
	// AcceptUnanswered completes uploads that WeChat does not judge.
	AcceptUnanswered bool `json:"acceptUnanswered,omitempty"`
}

// Callback is where OSS reports a finished upload; URL is empty when the tenant has none.
type Callback struct {
	URL string `json:"url,omitempty"`
	// KeyURLPrefixes from which the public key of a callback may be fetched.
	KeyURLPrefixes []string `json:"keyURLPrefixes"`
}

// Events is where the application receives events.
type Events struct {
	URL string `json:"url"`
	// SecretFile holds "whsec_" and the base64 of the signing secret; several, separated by white space,
	// all sign.
	SecretFile string `json:"secretFile"`
	// PublicOnly refuses to deliver to private addresses. Link-local addresses, where metadata services
	// live, are refused always.
	PublicOnly bool `json:"publicOnly,omitempty"`
}

// Index is the signer's database; exactly one field is set.
type Index struct {
	// SQLitePath of the embedded database; ":memory:" keeps nothing.
	SQLitePath string `json:"sqlitePath,omitempty"`
	// PostgresDSNFile holds the connection string of a PostgreSQL database, password included, where the
	// tenant's replicas share a schema. It is read again for each new connection.
	PostgresDSNFile string `json:"postgresDSNFile,omitempty"`
}
