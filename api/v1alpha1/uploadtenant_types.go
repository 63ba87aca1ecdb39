package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// UploadTenantSpec declares what one application may upload, where to, and who is told.
// +kubebuilder:validation:XValidation:rule="(has(self.index) && has(self.index.postgres)) || !has(self.signer) || ((!has(self.signer.replicas) || self.signer.replicas <= 1) && (!has(self.signer.autoscaling) || self.signer.autoscaling.maxReplicas <= 1))",message="more than one replica (signer.replicas, signer.autoscaling.maxReplicas) needs index.postgres: the embedded database belongs to one replica"
// +kubebuilder:validation:XValidation:rule="!has(self.verification) || !has(self.verification.sniff) || !self.verification.sniff || self.access.allowRead",message="verification.sniff reads objects: leave access.allowRead on"
// +kubebuilder:validation:XValidation:rule="!has(self.verification) || self.verification.onMismatch != 'Delete' || self.access.allowDelete",message="verification.onMismatch Delete deletes objects: leave access.allowDelete on"
// +kubebuilder:validation:XValidation:rule="!has(self.verification) || !has(self.verification.mediaCheck) || self.access.allowRead",message="verification.mediaCheck lets WeChat read objects: leave access.allowRead on"
// +kubebuilder:validation:XValidation:rule="!has(self.verification) || !has(self.verification.mediaCheck) || (has(self.auth) && has(self.auth.wechat) && self.auth.wechat.userFrom == 'OpenID')",message="verification.mediaCheck needs auth.wechat with userFrom OpenID: WeChat asks for the openid of the user"
// +kubebuilder:validation:XValidation:rule="!has(self.verification) || !has(self.verification.mediaCheck) || !has(self.bucket.referer) || self.bucket.referer.allowEmpty",message="verification.mediaCheck lets WeChat fetch objects, which sends no Referer: leave bucket.referer.allowEmpty on"
type UploadTenantSpec struct {
	// accountRef names the CloudAccount that holds the bucket.
	// +kubebuilder:default={name: default}
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="accountRef is immutable: create another UploadTenant to use another account"
	// +optional
	AccountRef AccountReference `json:"accountRef,omitzero"`

	// managementPolicy tells what the controller may do: Full makes everything true; Observe writes nothing,
	// neither in the cloud nor in the cluster, and lists in status.plan what Full would change; Paused does
	// not even look.
	// +kubebuilder:default=Full
	// +optional
	ManagementPolicy ManagementPolicy `json:"managementPolicy,omitempty"`

	// reconcileInterval is the pause between two looks at the cloud when nothing changed, at least 1m. The
	// manager's --interval applies when it is left out.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(h|m|s|ms))+$') && duration(self) >= duration('1m') && duration(self) <= duration('168h')",message="reconcileInterval must be a duration between 1m and 168h"
	// +optional
	ReconcileInterval *metav1.Duration `json:"reconcileInterval,omitempty"`

	// bucket that receives the uploads.
	// +required
	Bucket BucketSpec `json:"bucket"`

	// access shapes the RAM role of the signer.
	// +kubebuilder:default={}
	// +optional
	Access AccessSpec `json:"access,omitzero"`

	// limits that every upload must keep; OSS enforces them through the signed policy.
	// +required
	Limits LimitsSpec `json:"limits"`

	// keyTemplate builds the object key of each upload. Placeholders: {prefix} {user} {yyyy} {mm} {dd}
	// {id} {ext}. It must start with {prefix} and contain {id}.
	// +kubebuilder:default="{prefix}{user}/{yyyy}/{mm}/{dd}/{id}.{ext}"
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.startsWith('{prefix}')",message="keyTemplate must start with {prefix}, so that every key stays below bucket.prefix"
	// +kubebuilder:validation:XValidation:rule="self.contains('{id}')",message="keyTemplate must contain {id}, so that two uploads never share a key"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([^{}\\\\\\\\\\\\p{Cc}]|[{](prefix|user|yyyy|mm|dd|id|ext)[}])*$')",message="keyTemplate may only use the placeholders {prefix} {user} {yyyy} {mm} {dd} {id} {ext}, and no backslash or control character"
	// +optional
	KeyTemplate string `json:"keyTemplate,omitempty"`

	// grant shapes the signed policies.
	// +kubebuilder:default={}
	// +optional
	Grant GrantSpec `json:"grant,omitzero"`

	// auth tells how callers of the signer prove who they are.
	// +required
	Auth AuthSpec `json:"auth"`

	// callback is where OSS reports a finished upload. Without it, uploads are recorded when the client
	// completes them.
	// +optional
	Callback *CallbackSpec `json:"callback,omitempty"`

	// events is where the application receives one signed event per upload.
	// +optional
	Events *EventsSpec `json:"events,omitempty"`

	// index is the signer's database of uploads.
	// +optional
	Index IndexSpec `json:"index,omitzero"`

	// deduplication spares clients the upload of content that is stored already.
	// +kubebuilder:default={}
	// +optional
	Deduplication DeduplicationSpec `json:"deduplication,omitzero"`

	// reads shapes presigned downloads.
	// +kubebuilder:default={}
	// +optional
	Reads ReadsSpec `json:"reads,omitzero"`

	// verification looks into objects after their upload.
	// +kubebuilder:default={}
	// +optional
	Verification VerificationSpec `json:"verification,omitzero"`

	// signer shapes the signer's Deployment and how callers reach it.
	// +kubebuilder:default={}
	// +optional
	Signer SignerSpec `json:"signer,omitzero"`
}

// ManagementPolicy tells what the controller may do.
// +kubebuilder:validation:Enum=Full;Observe;Paused
type ManagementPolicy string

// Management policies.
const (
	ManagementFull    ManagementPolicy = "Full"
	ManagementObserve ManagementPolicy = "Observe"
	ManagementPaused  ManagementPolicy = "Paused"
)

// AccountReference names a CloudAccount.
type AccountReference struct {
	// name of the CloudAccount.
	// +kubebuilder:default=default
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Name string `json:"name,omitempty"`
}

// BucketSpec names the bucket and the part of it that belongs to this tenant.
type BucketSpec struct {
	// name of the bucket: 3 to 63 lower-case letters, digits and hyphens. Created when it does not exist.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$')",message="bucket.name must be 3 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends, for example family-album"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="bucket.name is immutable: create another UploadTenant for another bucket"
	// +required
	Name string `json:"name"`

	// prefix below which every object key of this tenant lies. It ends with a slash.
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="bucket.prefix is immutable: create another UploadTenant for another prefix"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9_.-]+/)+$') && !self.matches('(^|/)[.]{1,2}/')",message="bucket.prefix must be path segments of letters, digits, '_', '-' or '.', ending with '/', for example album/"
	// +required
	Prefix string `json:"prefix"`

	// adoption tells what to do with a bucket that already exists in the account and that no cluster has
	// claimed: Never leaves it alone, IfUnowned claims it with a tag and manages it from then on.
	// +kubebuilder:default=Never
	// +optional
	Adoption AdoptionPolicy `json:"adoption,omitempty"`

	// acl of the bucket. PublicRead lets everybody read every object in it; the default lets nobody. A bucket
	// that tenants share follows the oldest of them in acl, encryption and referer.
	// +kubebuilder:default=Private
	// +optional
	ACL BucketACL `json:"acl,omitempty"`

	// storageClass of a bucket that the controller creates. OSS cannot change it afterwards.
	// +kubebuilder:default=Standard
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="bucket.storageClass is immutable: OSS cannot change the storage class of a bucket"
	// +optional
	StorageClass StorageClass `json:"storageClass,omitempty"`

	// encryption at rest by default. Left out, the controller leaves the bucket's setting alone.
	// +optional
	Encryption *EncryptionSpec `json:"encryption,omitempty"`

	// lifecycle rules below the prefix.
	// +kubebuilder:default={}
	// +optional
	Lifecycle LifecycleSpec `json:"lifecycle,omitzero"`

	// referer restricts by HTTP Referer who may read with presigned URLs (hotlink protection). Left out, the
	// controller leaves the bucket's setting alone.
	// +optional
	Referer *RefererSpec `json:"referer,omitempty"`

	// deletionPolicy tells what happens to the bucket when its last tenant goes: Retain keeps it,
	// DeleteIfEmpty removes a bucket that the controller created or claimed and that holds no object.
	// Objects are never deleted.
	// +kubebuilder:default=Retain
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// uploadHost is a custom domain bound to the bucket (CNAME) that clients post to, such as
	// upload.example.com. Mainland buckets of new accounts need one.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([a-z0-9-]*[a-z0-9])?[.])+[a-z]{2,}$')",message="bucket.uploadHost must be a domain name without scheme and path, for example upload.example.com"
	// +optional
	UploadHost string `json:"uploadHost,omitempty"`

	// cors lets web pages of these origins upload. Mini-programs do not need it.
	// +optional
	CORS *CORSSpec `json:"cors,omitempty"`
}

// AdoptionPolicy tells what to do with a bucket that already exists.
// +kubebuilder:validation:Enum=Never;IfUnowned
type AdoptionPolicy string

// Adoption policies.
const (
	// AdoptionNever manages only buckets that this cluster created or claimed before.
	AdoptionNever AdoptionPolicy = "Never"
	// AdoptionIfUnowned claims a bucket of the account that carries no owner's tag.
	AdoptionIfUnowned AdoptionPolicy = "IfUnowned"
)

// BucketACL is who may read a bucket's objects.
// +kubebuilder:validation:Enum=Private;PublicRead
type BucketACL string

// Bucket ACLs.
const (
	ACLPrivate    BucketACL = "Private"
	ACLPublicRead BucketACL = "PublicRead"
)

// StorageClass of a bucket.
// +kubebuilder:validation:Enum=Standard;IA;Archive;ColdArchive
type StorageClass string

// StorageStandard is the storage class for data in daily use.
const StorageStandard StorageClass = "Standard"

// DeletionPolicy tells what happens to a bucket that no tenant uses any longer.
// +kubebuilder:validation:Enum=Retain;DeleteIfEmpty
type DeletionPolicy string

// Deletion policies.
const (
	DeletionRetain        DeletionPolicy = "Retain"
	DeletionDeleteIfEmpty DeletionPolicy = "DeleteIfEmpty"
)

// EncryptionSpec is the bucket's default encryption.
// +kubebuilder:validation:XValidation:rule="!has(self.kmsKeyID) || self.algorithm == 'KMS'",message="encryption.kmsKeyID needs encryption.algorithm KMS"
type EncryptionSpec struct {
	// algorithm: AES256 and SM4 with keys of OSS, KMS with a key of Key Management Service.
	// +kubebuilder:validation:Enum=AES256;SM4;KMS
	// +required
	Algorithm string `json:"algorithm"`

	// kmsKeyID of the key to use with KMS; left out, OSS's own key in KMS.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:MinLength=1
	// +optional
	KMSKeyID string `json:"kmsKeyID,omitempty"`
}

// LifecycleSpec cleans up below the prefix.
type LifecycleSpec struct {
	// abortMultipartAfterDays removes the parts of multipart uploads that nobody completed. 0 keeps them.
	// +kubebuilder:default=7
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=365
	// +optional
	AbortMultipartAfterDays *int32 `json:"abortMultipartAfterDays,omitempty"`

	// temporary expires objects below a folder of the prefix, for uploads that the application confirms by
	// copying them elsewhere.
	// +optional
	Temporary *TemporarySpec `json:"temporary,omitempty"`
}

// TemporarySpec expires objects.
type TemporarySpec struct {
	// prefix below bucket.prefix, ending with a slash.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9_.-]+/)+$') && !self.matches('(^|/)[.]{1,2}/')",message="lifecycle.temporary.prefix must be path segments of letters, digits, '_', '-' or '.', ending with '/', for example tmp/"
	// +required
	Prefix string `json:"prefix"`

	// afterDays objects are removed, counted from their last change.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3650
	// +required
	AfterDays int32 `json:"afterDays"`
}

// RefererSpec is the bucket's hotlink protection.
type RefererSpec struct {
	// allowed referers, with * and ? as wildcards, for example https://servicewechat.com/wx0123456789/*.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +listType=set
	// +required
	Allowed []string `json:"allowed"`

	// allowEmpty lets requests without a Referer through, such as those of native apps.
	// +kubebuilder:default=true
	// +optional
	AllowEmpty *bool `json:"allowEmpty,omitempty"`
}

// CORSSpec is one CORS rule of the bucket.
type CORSSpec struct {
	// allowedOrigins are origins such as https://h5.example.com, with at most one '*' each.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.all(o, o == '*' || o.matches('^https?://[^/*\\\\s]*[*]?[^/*\\\\s]*$'))",message="every allowedOrigins entry must be '*' or scheme://host[:port] with at most one '*' and no path, for example https://h5.example.com"
	// +listType=set
	// +required
	AllowedOrigins []string `json:"allowedOrigins"`

	// maxAgeSeconds a browser may cache the preflight answer.
	// +kubebuilder:default=600
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	// +optional
	MaxAgeSeconds *int32 `json:"maxAgeSeconds,omitempty"`
}

// AccessSpec shapes the RAM role of the signer.
type AccessSpec struct {
	// maxSessionDuration of the signer's STS sessions, between 1h and 12h.
	// +kubebuilder:default="1h"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(h|m|s|ms))+$') && duration(self) >= duration('1h') && duration(self) <= duration('12h')",message="access.maxSessionDuration must be a duration between 1h and 12h"
	// +optional
	MaxSessionDuration *metav1.Duration `json:"maxSessionDuration,omitempty"`

	// allowRead lets the signer read and list the tenant's objects. Completing an upload without a callback,
	// finding uploads whose callback was lost, and presigned downloads need it.
	// +kubebuilder:default=true
	// +optional
	AllowRead *bool `json:"allowRead,omitempty"`

	// allowDelete lets the signer delete an object when the user who uploaded it asks for that.
	// +kubebuilder:default=true
	// +optional
	AllowDelete *bool `json:"allowDelete,omitempty"`

	// additionalStatements extend the signer's RAM policy. They may name object actions on resources below
	// bucket and prefix only; anything else is refused with the condition AccessReady.
	// +kubebuilder:validation:MaxItems=10
	// +listType=atomic
	// +optional
	AdditionalStatements []PolicyStatement `json:"additionalStatements,omitempty"`
}

// PolicyStatement is one statement of a RAM policy.
type PolicyStatement struct {
	// effect of the statement.
	// +kubebuilder:validation:Enum=Allow;Deny
	// +required
	Effect string `json:"effect"`

	// actions on objects, such as oss:GetObjectTagging. Wildcards are not accepted.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.all(a, a.matches('^oss:[A-Za-z]+$'))",message="every actions entry must be one action of OSS without a wildcard, for example oss:GetObjectTagging"
	// +listType=set
	// +required
	Actions []string `json:"actions"`

	// keys below bucket.prefix that the statement speaks of, with * as a wildcard; "*" is all of them.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	// +listType=set
	// +required
	Keys []string `json:"keys"`
}

// LimitsSpec bounds every upload.
type LimitsSpec struct {
	// size in bytes of one file.
	// +required
	Size SizeLimit `json:"size"`

	// contentTypes that may be uploaded: type/subtype, or type/* for a whole family.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=127
	// +kubebuilder:validation:XValidation:rule="self.all(t, t.matches('^[a-z0-9][a-z0-9!#$&^_.+-]*/([*]|[a-z0-9][a-z0-9!#$&^_.+-]*)$'))",message="every contentTypes entry must be lower-case type/subtype or type/*, for example image/jpeg or image/*"
	// +listType=set
	// +required
	ContentTypes []string `json:"contentTypes"`

	// extensions that a file name may have, lower-case and without the dot. Empty allows every extension.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.all(e, e.matches('^[a-z0-9]{1,16}$'))",message="every extensions entry must be lower-case letters and digits without a dot, for example jpg"
	// +listType=set
	// +optional
	Extensions []string `json:"extensions,omitempty"`

	// filesPerRequest is the largest batch of one grant request.
	// +kubebuilder:default=20
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +optional
	FilesPerRequest *int32 `json:"filesPerRequest,omitempty"`

	// perUser bounds each user.
	// +optional
	PerUser UsageLimits `json:"perUser,omitzero"`

	// perTenant bounds all users together.
	// +optional
	PerTenant UsageLimits `json:"perTenant,omitzero"`
}

// SizeLimit is an inclusive range of bytes.
// +kubebuilder:validation:XValidation:rule="!has(self.min) || quantity(string(self.min)).compareTo(quantity(string(self.max))) <= 0",message="limits.size.min must not be larger than limits.size.max"
// +kubebuilder:validation:XValidation:rule="quantity(string(self.max)).compareTo(quantity('5Gi')) <= 0 && quantity(string(self.max)).compareTo(quantity('1')) >= 0",message="limits.size.max must be between 1 and 5Gi: PostObject takes no larger object"
// +kubebuilder:validation:XValidation:rule="!has(self.min) || quantity(string(self.min)).compareTo(quantity('0')) >= 0",message="limits.size.min must not be negative"
type SizeLimit struct {
	// min bytes of a file.
	// +kubebuilder:default="1"
	// +optional
	Min *resource.Quantity `json:"min,omitempty"`

	// max bytes of a file, at most 5Gi.
	// +required
	Max resource.Quantity `json:"max"`
}

// GrantSignature is a PostObject signature version.
// +kubebuilder:validation:Enum=V4;V1
type GrantSignature string

const (
	// SignatureV4 is OSS4-HMAC-SHA256.
	SignatureV4 GrantSignature = "V4"
	// SignatureV1 is HMAC-SHA1, which OSS refuses for new accounts and new buckets.
	SignatureV1 GrantSignature = "V1"
)

// GrantSpec shapes the signed policies.
type GrantSpec struct {
	// signature version of the policies. V1 is retired: OSS refuses it for accounts created since 2025-03 and
	// buckets created since 2025-09.
	// +kubebuilder:default=V4
	// +optional
	Signature GrantSignature `json:"signature,omitempty"`

	// expiry of a grant, between 1m and 15m. OSS judges it when the whole body has arrived.
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(h|m|s|ms))+$') && duration(self) >= duration('1m') && duration(self) <= duration('15m')",message="grant.expiry must be a duration between 1m and 15m"
	// +optional
	Expiry *metav1.Duration `json:"expiry,omitempty"`

	// allowPrefix serves GET /v1/policy: one grant for many files below the user's folder. It pins neither
	// name nor exact size, and its uploads are not recorded.
	// +optional
	AllowPrefix *bool `json:"allowPrefix,omitempty"`
}

// SecretKeyReference names one key of a Secret in the tenant's namespace.
type SecretKeyReference struct {
	// name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`

	// key within the Secret.
	// +kubebuilder:default=secret
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Key string `json:"key,omitempty"`
}

// CallbackSpec is where OSS reports a finished upload.
type CallbackSpec struct {
	// url of the signer as OSS reaches it. It must be public: OSS refuses private addresses. The path
	// is the one that OSS signs, so it stays the external path even behind a rewriting ingress.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@\\\\s]+/[^?#\\\\s]*$')",message="callback.url must be an http(s) URL with a path and without user, query or fragment, for example https://upload.example.com/family/album/callback"
	// +required
	URL string `json:"url"`
}

// EventsSpec is where the application receives events.
type EventsSpec struct {
	// url that receives a POST per event, signed as Standard Webhooks describe.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@\\\\s]+(/[^#\\\\s]*)?$')",message="events.url must be an http(s) URL without user or fragment, for example https://api.example.com/hooks/uploads"
	// +required
	URL string `json:"url"`

	// secretRef names the Secret and key with the signing secret: "whsec_" and 24 to 64 bytes in base64.
	// +required
	SecretRef SecretKeyReference `json:"secretRef"`

	// allowPrivateAddresses lets url lead to a private address, for example a server in the VPC. Without
	// it, only public addresses and Services of the cluster are reached: http://<service>, and
	// http://<service>.<namespace>.svc with or without .cluster.local behind it.
	// +optional
	AllowPrivateAddresses *bool `json:"allowPrivateAddresses,omitempty"`
}

// UploadTenantStatus is what the controller last made true.
type UploadTenantStatus struct {
	// observedGeneration is the generation that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions of the tenant: Ready, BucketReady, AccessReady, SignerReady, and Paused, Reconciling and
	// Stalled while they are true.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// bucket as clients and the application see it.
	// +optional
	Bucket *BucketStatus `json:"bucket,omitempty"`

	// role of the signer in RAM.
	// +optional
	Role *RoleStatus `json:"role,omitempty"`

	// signer as callers reach it.
	// +optional
	Signer *SignerStatus `json:"signer,omitempty"`

	// plan lists, under managementPolicy Observe, what Full would change.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Plan []PlannedChange `json:"plan,omitempty"`

	// lastHandledReconcileAt repeats the last value of the annotation oss.uploadtenant.io/reconcile-at that
	// was acted upon.
	// +optional
	LastHandledReconcileAt string `json:"lastHandledReconcileAt,omitempty"`
}

// PlannedChange is one difference between the spec and what is there.
type PlannedChange struct {
	// operation that would be called, such as ram:CreateRole or apply.
	// +kubebuilder:validation:MaxLength=64
	Operation string `json:"operation"`
	// resource that it would be called on.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Resource string `json:"resource,omitempty"`
	// detail says what would be different.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Detail string `json:"detail,omitempty"`
}

// BucketStatus is the bucket as clients see it.
type BucketStatus struct {
	// endpoint of the region, without the bucket name.
	// +optional
	Endpoint string `json:"endpoint,omitempty"`
	// uploadURL that clients post to; the WeChat "uploadFile" domain list must contain its host.
	// +optional
	UploadURL string `json:"uploadURL,omitempty"`
}

// RoleStatus is the signer's RAM role.
type RoleStatus struct {
	// arn of the role.
	// +optional
	ARN string `json:"arn,omitempty"`
}

// SignerStatus is the signer as callers reach it.
type SignerStatus struct {
	// url of the signer inside the cluster.
	// +optional
	URL string `json:"url,omitempty"`
	// replicas that are ready.
	// +optional
	Replicas int32 `json:"replicas,omitempty"`
}

// UploadTenant lets one application's clients upload straight to OSS within the limits it declares.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ut
// +kubebuilder:printcolumn:name="Bucket",type=string,JSONPath=`.spec.bucket.name`
// +kubebuilder:printcolumn:name="Prefix",type=string,JSONPath=`.spec.bucket.prefix`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Policy",type=string,priority=1,JSONPath=`.spec.managementPolicy`
// +kubebuilder:printcolumn:name="Role",type=string,priority=1,JSONPath=`.status.role.arn`
// +kubebuilder:printcolumn:name="Signer",type=string,priority=1,JSONPath=`.status.signer.url`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 52",message="metadata.name must have at most 52 characters: the signer's Deployment, Service and RAM role derive their names from it"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must start with a letter and hold only lower-case letters, digits and hyphens: the signer's Service derives its name from it"
type UploadTenant struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec UploadTenantSpec `json:"spec"`
	// +optional
	Status UploadTenantStatus `json:"status,omitzero"`
}

// UploadTenantList is a list of UploadTenant.
//
// +kubebuilder:object:root=true
type UploadTenantList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []UploadTenant `json:"items"`
}
