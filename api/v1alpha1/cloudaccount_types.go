package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// CloudAccountSpec describes one Alibaba Cloud account and how to reach it.
// +kubebuilder:validation:XValidation:rule="has(self.oidc) || !has(self.credentials.oidc)",message="credentials.oidc needs oidc.providerARN and oidc.issuer"
type CloudAccountSpec struct {
	// accountID is the numeric id of the Alibaba Cloud account (the "UID" of the console).
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{5,20}$')",message="accountID must be the numeric id of the account, for example \"1234567890123456\""
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="accountID is immutable: create another CloudAccount for another account"
	// +required
	AccountID string `json:"accountID"`

	// region is the general region id, for example cn-hangzhou (not oss-cn-hangzhou).
	// +kubebuilder:validation:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]{2}-[a-z0-9-]{2,40}$')",message="region must be a general region id such as cn-hangzhou, without a leading oss-"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="region is immutable: buckets cannot move, create another CloudAccount for another region"
	// +required
	Region string `json:"region"`

	// credentials tells how the manager authenticates to this account.
	// +required
	Credentials AccountCredentials `json:"credentials"`

	// oidc is the identity provider registered in RAM for this cluster's service accounts. It lets
	// each signer assume its own role with a projected token, so that no AccessKey reaches a pod.
	// A cluster whose issuer is not registered leaves it out: then the manager assumes each role and keeps
	// a short-lived session in a Secret that the signer reads.
	// +optional
	OIDC *AccountOIDC `json:"oidc,omitempty"`

	// tenancy restricts which namespaces may use the account, with which buckets and prefixes. An admission
	// policy refuses other tenants, and the controller does not reconcile them.
	// +optional
	Tenancy *TenancySpec `json:"tenancy,omitempty"`

	// endpoints overrides the public endpoints of the region, for VPC endpoints or an emulator.
	// +optional
	Endpoints AccountEndpoints `json:"endpoints,omitzero"`

	// callbackKeys lists the URL prefixes from which the public key of an OSS callback may be
	// fetched. Each ends with a slash.
	// +kubebuilder:default={"https://gosspublic.alicdn.com/","http://gosspublic.alicdn.com/"}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.all(p, p.matches('^https?://[^/]+/(.*/)?$'))",message="every callbackKeys entry must be an http(s) URL prefix that ends with '/', for example https://gosspublic.alicdn.com/"
	// +listType=atomic
	// +optional
	CallbackKeys []string `json:"callbackKeys,omitempty"`
}

// TenancySpec restricts the tenants of an account.
type TenancySpec struct {
	// namespaces that may use the account, by name with * at the end as a wildcard. Left out: all.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.all(n, n.matches('^[a-z0-9-]*[*]?$'))",message="every tenancy.namespaces entry must be a namespace's name, with at most one '*' at its end, for example team-*"
	// +listType=set
	// +optional
	Namespaces []string `json:"namespaces,omitempty"`

	// bucketNames that tenants may use, with {namespace} for their namespace and * at the end as a wildcard.
	// Left out: all.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.all(n, n.matches('^([a-z0-9-]|[{]namespace[}])*[*]?$'))",message="every tenancy.bucketNames entry must be a bucket's name, with {namespace} and at most one '*' at its end, for example {namespace}-*"
	// +listType=set
	// +optional
	BucketNames []string `json:"bucketNames,omitempty"`

	// prefix that every tenant's prefix must start with, with {namespace} for its namespace, for example
	// {namespace}/. Left out: any.
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^(([A-Za-z0-9_.-]|[{]namespace[}])+/)+$')",message="tenancy.prefix must be path segments with {namespace}, ending with '/', for example {namespace}/"
	// +optional
	Prefix string `json:"prefix,omitempty"`
}

// AccountCredentials is exactly one way for the manager to authenticate.
// +kubebuilder:validation:XValidation:rule="[has(self.oidc), has(self.environment), has(self.secretRef)].filter(x, x).size() == 1",message="set exactly one of credentials.oidc, credentials.environment or credentials.secretRef"
type AccountCredentials struct {
	// oidc assumes a RAM role with the manager's own projected service-account token (RRSA).
	// +optional
	OIDC *OIDCCredentials `json:"oidc,omitempty"`

	// environment reads ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET and
	// ALIBABA_CLOUD_SECURITY_TOKEN, or the RRSA variables, from the manager's environment.
	// +optional
	Environment *EnvironmentCredentials `json:"environment,omitempty"`

	// secretRef names a Secret in the manager's namespace with the keys accessKeyId,
	// accessKeySecret and, for temporary credentials, securityToken.
	// +optional
	SecretRef *LocalSecretReference `json:"secretRef,omitempty"`
}

// OIDCCredentials names the RAM role that the manager assumes.
type OIDCCredentials struct {
	// roleARN is the RAM role to assume, for example acs:ram::1234567890123456:role/uploadtenant-manager.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^acs:ram::[0-9]+:role/[A-Za-z0-9.-]{1,64}$')",message="credentials.oidc.roleARN must be the ARN of a RAM role, for example acs:ram::1234567890123456:role/uploadtenant-manager"
	// +required
	RoleARN string `json:"roleARN"`
}

// EnvironmentCredentials has no settings: the environment decides.
type EnvironmentCredentials struct{}

// LocalSecretReference names a Secret in the namespace of the referring object.
type LocalSecretReference struct {
	// name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`
}

// AccountOIDC is the OIDC provider that RAM knows for this cluster.
type AccountOIDC struct {
	// providerARN of the OIDC provider in RAM, for example
	// acs:ram::1234567890123456:oidc-provider/ack-rrsa-c123.
	// +kubebuilder:validation:MaxLength=192
	// +kubebuilder:validation:XValidation:rule="self.matches('^acs:ram::[0-9]+:oidc-provider/[A-Za-z0-9._-]{1,128}$')",message="oidc.providerARN must be the ARN of an OIDC provider in RAM, for example acs:ram::1234567890123456:oidc-provider/ack-rrsa-c123"
	// +required
	ProviderARN string `json:"providerARN"`

	// issuer of the cluster's service-account tokens, exactly as in their "iss" claim.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https://[^?#\\\\s]+$')",message="oidc.issuer must be an https URL, exactly as in the iss claim of the cluster's service-account tokens"
	// +required
	Issuer string `json:"issuer"`
}

// AccountEndpoints are base URLs without a path, for example https://oss-cn-hangzhou-internal.aliyuncs.com.
// Plain http is accepted for an emulator; the public services speak https only.
type AccountEndpoints struct {
	// oss replaces https://oss-<region>.aliyuncs.com for calls from the cluster.
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@\\\\s]+$')",message="endpoints.oss must be an http(s) base URL without a path, for example https://oss-cn-hangzhou-internal.aliyuncs.com"
	// +optional
	OSS string `json:"oss,omitempty"`

	// ram replaces https://ram.aliyuncs.com.
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@\\\\s]+$')",message="endpoints.ram must be an http(s) base URL without a path, for example https://ram.aliyuncs.com"
	// +optional
	RAM string `json:"ram,omitempty"`

	// sts replaces https://sts.<region>.aliyuncs.com.
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@\\\\s]+$')",message="endpoints.sts must be an http(s) base URL without a path, for example https://sts-vpc.cn-hangzhou.aliyuncs.com"
	// +optional
	STS string `json:"sts,omitempty"`

	// upload is the base URL that clients post to when it differs from oss: the emulator's address as
	// a client sees it. Left empty, clients use the bucket's public host.
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@\\\\s]+$')",message="endpoints.upload must be an http(s) base URL without a path, for example https://oss-cn-hangzhou.aliyuncs.com"
	// +optional
	Upload string `json:"upload,omitempty"`
}

// CloudAccountStatus is what the manager last saw of the account.
type CloudAccountStatus struct {
	// observedGeneration is the generation that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// verifiedGeneration is the last generation whose credentials were seen to belong to spec.accountID.
	// +optional
	VerifiedGeneration int64 `json:"verifiedGeneration,omitempty"`

	// principalARN is the RAM user or role that the manager's credentials belong to.
	// +optional
	PrincipalARN string `json:"principalARN,omitempty"`

	// orphans are RAM roles and policies that this cluster made and that no tenant holds any more, at most 64
	// of them; the condition Orphaned tells how many there are. Nothing removes them by itself.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Orphans []OrphanedObject `json:"orphans,omitempty"`

	// lastHandledReconcileAt repeats the last value of the annotation oss.uploadtenant.io/reconcile-at that
	// was acted upon.
	// +optional
	LastHandledReconcileAt string `json:"lastHandledReconcileAt,omitempty"`

	// conditions of the account: Ready, Orphaned.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// OrphanedObject is a RAM role or policy without a tenant.
type OrphanedObject struct {
	// kind is Role or Policy.
	// +kubebuilder:validation:Enum=Role;Policy
	Kind string `json:"kind"`
	// name in RAM.
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name"`
	// tenant that it was made for, as namespace/name.
	// +kubebuilder:validation:MaxLength=317
	Tenant string `json:"tenant"`
}

// CloudAccount is one Alibaba Cloud account that tenants of this cluster may use.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster
// +kubebuilder:printcolumn:name="Account",type=string,JSONPath=`.spec.accountID`
// +kubebuilder:printcolumn:name="Region",type=string,JSONPath=`.spec.region`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type CloudAccount struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec CloudAccountSpec `json:"spec"`
	// +optional
	Status CloudAccountStatus `json:"status,omitzero"`
}

// CloudAccountList is a list of CloudAccount.
//
// +kubebuilder:object:root=true
type CloudAccountList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []CloudAccount `json:"items"`
}
