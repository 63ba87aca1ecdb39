package cloud

import (
	"context"
	"time"

	"github.com/uploadtenant/uploadtenant/policy"
)

// Opener opens the services of an account. Implementations share connections and credentials between
// calls that describe the same account.
type Opener interface {
	Open(Account) (Services, error)
}

// Services are the parts of one account.
type Services struct {
	Identity    Identity
	Buckets     Buckets
	Settings    BucketSettings
	CORS        CORS
	Lifecycle   Lifecycle
	Roles       Roles
	Policies    Policies
	Attachments Attachments
	Inventory   Inventory
}

// Account tells how to reach one account and who to be there.
type Account struct {
	// ID is the numeric account id.
	ID string
	// Region is the general region id, such as cn-hangzhou.
	Region      string
	Endpoints   Endpoints
	Credentials Credentials
}

// Endpoints are base URLs; an empty one means the public https endpoint of the region.
type Endpoints struct {
	OSS, RAM, STS string
}

// Credentials is exactly one of its fields.
type Credentials struct {
	// OIDC assumes a role with a service-account token.
	OIDC *OIDCCredentials
	// Static is an access key, with a token when it is temporary.
	Static *StaticCredentials
	// Environment reads the variables that Alibaba Cloud SDKs share.
	Environment bool
}

// OIDCCredentials assume RoleARN with the token in TokenFile.
type OIDCCredentials struct {
	RoleARN, ProviderARN, TokenFile string
}

// StaticCredentials are an access key. They must never be logged.
type StaticCredentials struct {
	AccessKeyID, AccessKeySecret, SecurityToken string
}

// Identity asks STS who the manager is.
type Identity interface {
	// Caller returns the caller's account and ARN.
	Caller(ctx context.Context) (Caller, error)
	// AssumeRole starts a session of a role of the account.
	AssumeRole(ctx context.Context, roleARN, sessionName string, duration time.Duration) (Session, error)
}

// Session is a temporary access key. It must never be logged.
type Session struct {
	StaticCredentials
	Expires time.Time
}

// Caller is who the manager is.
type Caller struct {
	AccountID, ARN string
}

// Buckets observes and changes buckets, never objects.
type Buckets interface {
	// Observe returns the bucket; found is false when no account has one of that name.
	Observe(ctx context.Context, name string) (bucket Bucket, found bool, err error)
	// Create makes a private bucket of the storage class; empty means the default.
	Create(ctx context.Context, name, storageClass string) error
	// Tags returns the tags of the bucket.
	Tags(ctx context.Context, name string) (map[string]string, error)
	// SetTags replaces all tags of the bucket.
	SetTags(ctx context.Context, name string, tags map[string]string) error
	// Delete removes a bucket without objects; one with objects is a Conflict.
	Delete(ctx context.Context, name string) error
}

// Bucket is a bucket as OSS describes it.
type Bucket struct {
	Name string
	// OwnerID is the account id of the owner.
	OwnerID string
	// Region is the general region id.
	Region  string
	Created time.Time
	// ACL is private, public-read or public-read-write.
	ACL string
	// StorageClass such as Standard.
	StorageClass string
	// PublicAccessBlocked tells whether public ACLs and policies are refused.
	PublicAccessBlocked bool
	// Encryption is the default encryption, zero when there is none.
	Encryption Encryption
}

// Encryption is a bucket's default encryption.
type Encryption struct {
	// Algorithm is AES256, SM4 or KMS.
	Algorithm string
	// KMSKeyID of the key to use with KMS.
	KMSKeyID string
}

// Referer is a bucket's hotlink protection. Without allowed referers there is none.
type Referer struct {
	Allowed    []string
	AllowEmpty bool
}

// BucketSettings changes what a whole bucket shares.
type BucketSettings interface {
	// SetACL sets private or public-read. A public ACL is refused while public access is blocked.
	SetACL(ctx context.Context, bucket, acl string) error
	SetPublicAccessBlock(ctx context.Context, bucket string, blocked bool) error
	SetEncryption(ctx context.Context, bucket string, e Encryption) error
	Referer(ctx context.Context, bucket string) (Referer, error)
	SetReferer(ctx context.Context, bucket string, r Referer) error
}

// Lifecycle reads and replaces the lifecycle document of a bucket.
type Lifecycle interface {
	// Rules returns the rules, none when the bucket has no document.
	Rules(ctx context.Context, bucket string) ([]policy.LifecycleRule, error)
	// SetRules replaces the document; no rules remove it.
	SetRules(ctx context.Context, bucket string, rules []policy.LifecycleRule) error
}

// CORS reads and replaces the CORS document of a bucket.
type CORS interface {
	// Rules returns the rules, none when the bucket has no document.
	Rules(ctx context.Context, bucket string) ([]policy.CORSRule, error)
	// SetRules replaces the document; no rules remove it.
	SetRules(ctx context.Context, bucket string, rules []policy.CORSRule) error
}

// Role is a RAM role.
type Role struct {
	Name               string
	TrustDocument      string
	Description        string
	MaxSessionDuration time.Duration
}

// Roles observes and changes RAM roles.
type Roles interface {
	Observe(ctx context.Context, name string) (role Role, found bool, err error)
	Create(ctx context.Context, role Role) error
	// Update makes the trust document, description and session duration those of role.
	Update(ctx context.Context, role Role) error
	Delete(ctx context.Context, name string) error
}

// Policy is a custom RAM policy with its default version.
type Policy struct {
	Name        string
	Document    string
	Description string
}

// Policies observes and changes custom RAM policies.
type Policies interface {
	Observe(ctx context.Context, name string) (p Policy, found bool, err error)
	Create(ctx context.Context, p Policy) error
	// SetDocument adds a version and makes it the default; the oldest other one goes when RAM's five are full.
	SetDocument(ctx context.Context, name, document string) error
	// Delete removes the policy with all its versions. The policy must not be attached.
	Delete(ctx context.Context, name string) error
}

// Attachments binds policies to roles.
type Attachments interface {
	// List returns all policies attached to the role, none when there is no role.
	List(ctx context.Context, role string) ([]AttachedPolicy, error)
	// Attach binds a custom policy.
	Attach(ctx context.Context, policy, role string) error
	Detach(ctx context.Context, policy AttachedPolicy, role string) error
}

// AttachedPolicy is a policy of a role.
type AttachedPolicy struct {
	Name string
	// System tells that Alibaba Cloud made the policy, such as AliyunOSSFullAccess, not the account itself.
	System bool
}

// String names the policy for a message.
func (p AttachedPolicy) String() string {
	if p.System {
		return "system policy " + p.Name
	}
	return "policy " + p.Name
}

// Inventory lists what an account holds, a page per call, so that each call keeps the account's rate. after
// is the marker of the page before, empty for the first one; next is empty after the last one.
type Inventory interface {
	Roles(ctx context.Context, after string) (page []Described, next string, err error)
	// Policies lists the custom policies.
	Policies(ctx context.Context, after string) (page []Described, next string, err error)
}

// Described is a role or policy as a list tells of it.
type Described struct {
	Name, Description string
}
