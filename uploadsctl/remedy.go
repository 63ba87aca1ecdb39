package uploadsctl

import "github.com/uploadtenant/uploadtenant/api/v1alpha1"

// remedies say what to do about each reason that a condition may have. docs/spec has the same in full.
// {tenant} stands for the arguments that name the tenant to a command.
var remedies = map[string]string{
	v1alpha1.ReasonProgressing: "wait: the controller is at work",
	v1alpha1.ReasonRollingOut:  "wait; when it stays so, `kubectl uploads doctor {tenant}` looks at the pods",
	v1alpha1.ReasonDeleting:    "the message tells what keeps the tenant from going",

	v1alpha1.ReasonPlanPending:       "`kubectl uploads plan {tenant}` lists the changes; spec.managementPolicy Full makes them",
	v1alpha1.ReasonPausedByTenant:    "`kubectl uploads resume {tenant}`",
	v1alpha1.ReasonPausedByNamespace: "`kubectl annotate namespace {namespace} " + v1alpha1.AnnotationPaused + "-`",
	v1alpha1.ReasonPausedByManager:   "start the manager without --paused",
	v1alpha1.ReasonNotAllowed:        "use a namespace, bucket and prefix that the CloudAccount's tenancy allows, or ask the platform team to allow these",

	v1alpha1.ReasonAccountNotFound:     "create the CloudAccount, or name another in spec.accountRef",
	v1alpha1.ReasonAccountNotReady:     "`kubectl uploads doctor` tells what the CloudAccount lacks",
	v1alpha1.ReasonWrongAccount:        "correct spec.accountID of the CloudAccount, or its credentials",
	v1alpha1.ReasonCredentialsNotFound: "create the Secret with the keys that the message names, in the manager's namespace",

	v1alpha1.ReasonBucketNotOwned:         "the bucket existed before: set spec.bucket.adoption to IfUnowned, or use another name",
	v1alpha1.ReasonBucketOwnedByOther:     "use another bucket name; when this cluster replaces the owner, start the manager with its --cluster-id",
	v1alpha1.ReasonBucketInOtherRegion:    "use another bucket, or a CloudAccount of that region",
	v1alpha1.ReasonBucketNotReady:         "see the condition BucketReady",
	v1alpha1.ReasonPrefixTaken:            "use another prefix: an older tenant has this one, or one within or around it",
	v1alpha1.ReasonBucketSettingsConflict: "declare what the bucket's oldest tenant declares, or use another bucket",
	v1alpha1.ReasonLifecycleRulesExceeded: "remove lifecycle rules of others from the bucket (OSS takes 1000)",
	v1alpha1.ReasonCORSRulesExceeded:      "remove CORS rules of others from the bucket (OSS takes 10)",
	v1alpha1.ReasonRoleOwnedByOther:       "a role or policy of this name is not the tenant's: remove it, or rename the tenant",
	v1alpha1.ReasonPolicyInvalid:          "correct spec.access.additionalStatements: they stay below the prefix, and the policy within 6144 characters",

	v1alpha1.ReasonSecretNotFound:    "create the Secret or key that the message names",
	v1alpha1.ReasonGatewayAPIMissing: "install the Gateway API, or use spec.signer.exposure.ingress",
	v1alpha1.ReasonTicketKeysInvalid: "restore the Secret {name}-signer-tickets from a backup, or delete it (uploads that are under way are lost)",
	v1alpha1.ReasonClusterError:      "it is tried again; when it stays so, the manager's log tells more",

	v1alpha1.ReasonThrottled:        "wait: it is tried again, at a slower pace",
	v1alpha1.ReasonCloudUnavailable: "wait: it is tried again; check the CloudAccount's endpoints when it stays so",
	v1alpha1.ReasonConflict:         "the object that the message names belongs to somebody else: remove it, or use another name",
	v1alpha1.ReasonQuotaExceeded:    "raise the quota of the account, or remove what nobody uses",
	v1alpha1.ReasonPermissionDenied: "grant the manager's role the action that the message names (docs/guides/manager-ram-policy.json)",
	v1alpha1.ReasonInvalidRequest:   "correct the field that the message names",
}

// harmless reasons need no remedy.
var harmless = map[string]bool{
	v1alpha1.ReasonAsDeclared:    true,
	v1alpha1.ReasonDriftRepaired: true,
}
