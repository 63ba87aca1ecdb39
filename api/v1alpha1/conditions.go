package v1alpha1

// Condition types of UploadTenant and CloudAccount. Unless said otherwise True is good, and an event with
// the same reason tells of every change of Ready.
const (
	// ConditionReady sums up the others.
	ConditionReady = "Ready"
	// ConditionBucketReady tells whether the bucket and its CORS rules are as declared.
	ConditionBucketReady = "BucketReady"
	// ConditionAccessReady tells whether the RAM policy, role and attachment are as declared.
	ConditionAccessReady = "AccessReady"
	// ConditionSignerReady tells whether the signer answers requests with the declared configuration.
	ConditionSignerReady = "SignerReady"
	// ConditionPaused is True while nothing is reconciled, and absent otherwise; its reason tells who paused.
	ConditionPaused = "Paused"
	// ConditionOrphaned of a CloudAccount is True while roles or policies of this cluster have no tenant, Unknown
	// while the manager may not list them, and absent otherwise. It does not count for Ready.
	ConditionOrphaned = "Orphaned"
	// ConditionReconciling is True while the controller works toward Ready, and absent otherwise (kstatus).
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when only a change from outside helps, and absent otherwise (kstatus).
	ConditionStalled = "Stalled"
)

// Reasons of conditions. docs/spec names the remedy of each.
const (
	// ReasonAsDeclared: what the condition speaks of is as the spec declares it.
	ReasonAsDeclared = "AsDeclared"
	// ReasonProgressing: work is under way.
	ReasonProgressing = "Progressing"
	// ReasonRollingOut: the signer's Deployment has not made its replicas available yet.
	ReasonRollingOut = "RollingOut"
	// ReasonDeleting: the tenant is being deleted.
	ReasonDeleting = "Deleting"

	// ReasonPlanPending: managementPolicy is Observe, and status.plan lists what is not as declared.
	ReasonPlanPending = "PlanPending"
	// ReasonPausedByTenant: spec.managementPolicy is Paused.
	ReasonPausedByTenant = "PausedByTenant"
	// ReasonPausedByNamespace: the namespace has the annotation oss.uploadtenant.io/paused.
	ReasonPausedByNamespace = "PausedByNamespace"
	// ReasonPausedByManager: the manager was started with --paused.
	ReasonPausedByManager = "PausedByManager"
	// ReasonNotAllowed: the CloudAccount's tenancy does not allow this namespace, bucket or prefix.
	ReasonNotAllowed = "NotAllowed"

	// ReasonDriftRepaired is the reason of the event that tells what had changed outside and was made true again.
	ReasonDriftRepaired = "DriftRepaired"

	// ReasonAccountNotFound: spec.accountRef names no CloudAccount.
	ReasonAccountNotFound = "AccountNotFound"
	// ReasonAccountNotReady: the CloudAccount has a problem of its own, which its Ready condition tells.
	ReasonAccountNotReady = "AccountNotReady"
	// ReasonWrongAccount: the credentials belong to another account than spec.accountID.
	ReasonWrongAccount = "WrongAccount"
	// ReasonCredentialsNotFound: the Secret of spec.credentials.secretRef or a key of it is missing.
	ReasonCredentialsNotFound = "CredentialsNotFound"

	// ReasonOrphansFound: roles or policies of this cluster have no tenant.
	ReasonOrphansFound = "OrphansFound"

	// ReasonBucketNotOwned: the bucket exists and nothing says that this cluster may manage it.
	ReasonBucketNotOwned = "BucketNotOwned"
	// ReasonBucketOwnedByOther: the bucket belongs to another account or another cluster.
	ReasonBucketOwnedByOther = "BucketOwnedByOther"
	// ReasonBucketInOtherRegion: the bucket exists in another region than the CloudAccount's.
	ReasonBucketInOtherRegion = "BucketInOtherRegion"
	// ReasonBucketNotReady: the part waits for BucketReady, whose reason says more.
	ReasonBucketNotReady = "BucketNotReady"
	// ReasonPrefixTaken: an older tenant uploads to the same prefix, or to one within or around it.
	ReasonPrefixTaken = "PrefixTaken"
	// ReasonBucketSettingsConflict: an older tenant of the bucket declares other settings for the whole bucket.
	ReasonBucketSettingsConflict = "BucketSettingsConflict"
	// ReasonLifecycleRulesExceeded: the bucket has no room for another lifecycle rule.
	ReasonLifecycleRulesExceeded = "LifecycleRulesExceeded"
	// ReasonCORSRulesExceeded: the bucket has no room for another CORS rule.
	ReasonCORSRulesExceeded = "CORSRulesExceeded"
	// ReasonRoleOwnedByOther: a role or policy of the tenant's name exists and is not ours.
	ReasonRoleOwnedByOther = "RoleOwnedByOther"
	// ReasonPolicyInvalid: no RAM policy can be made of the spec.
	ReasonPolicyInvalid = "PolicyInvalid"

	// ReasonSecretNotFound: a Secret or a key of it that the spec names does not exist.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonGatewayAPIMissing: the spec asks for an HTTPRoute, and the cluster has no Gateway API.
	ReasonGatewayAPIMissing = "GatewayAPIMissing"
	// ReasonTicketKeysInvalid: the Secret with the ticket keys does not hold any.
	ReasonTicketKeysInvalid = "TicketKeysInvalid"
	// ReasonClusterError: the Kubernetes API refused or failed.
	ReasonClusterError = "ClusterError"

	// ReasonThrottled: the cloud asked to slow down.
	ReasonThrottled = "Throttled"
	// ReasonCloudUnavailable: the cloud, or the way to it, is down.
	ReasonCloudUnavailable = "CloudUnavailable"
	// ReasonConflict: an object of the cloud or of the namespace belongs to somebody else.
	ReasonConflict = "Conflict"
	// ReasonQuotaExceeded: a quota of the account is reached.
	ReasonQuotaExceeded = "QuotaExceeded"
	// ReasonPermissionDenied: the manager's identity lacks a permission.
	ReasonPermissionDenied = "PermissionDenied"
	// ReasonInvalidRequest: the cloud refuses the request; only another spec helps.
	ReasonInvalidRequest = "InvalidRequest"
)

// Finalizer keeps an UploadTenant until its role, policy and CORS rule are gone from the cloud.
const Finalizer = "oss.uploadtenant.io/cloud"

// Annotations that the controller reads or writes.
const (
	// AnnotationReconcileAt asks for a reconcile now, with a fresh look at the cloud, whenever its value
	// changes. status.lastHandledReconcileAt repeats the last value seen.
	AnnotationReconcileAt = "oss.uploadtenant.io/reconcile-at"
	// AnnotationPaused on a namespace, with the value "true", pauses every tenant in it.
	AnnotationPaused = "oss.uploadtenant.io/paused"
	// AnnotationCreatingBucket names the bucket that the controller is about to create. It is written
	// before the bucket, so that a crash in between does not leave a bucket that nobody claims.
	AnnotationCreatingBucket = "oss.uploadtenant.io/creating-bucket"
	// AnnotationResumePolicy keeps, while a tenant is paused, the management policy that it goes back to. It
	// is written and read by kubectl uploads, not by the controller.
	AnnotationResumePolicy = "oss.uploadtenant.io/resume-policy"
)
