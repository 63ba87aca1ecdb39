package devmode

import (
	"context"
	"fmt"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/controllers/signerconfig"
	"github.com/uploadtenant/uploadtenant/policy"
)

// ensureBucket makes the bucket and its rules true. Nobody else has rules in it.
func ensureBucket(ctx context.Context, services cloud.Services, tenant *v1alpha1.UploadTenant, owner policy.Owner) error {
	bucket := tenant.Spec.Bucket.Name
	_, found, err := services.Buckets.Observe(ctx, bucket)
	if err != nil {
		return err
	}
	if !found {
		if err := services.Buckets.Create(ctx, bucket, ""); err != nil {
			return err
		}
		if err := services.Buckets.SetTags(ctx, bucket, map[string]string{policy.BucketOwnerTag: clusterID}); err != nil {
			return err
		}
	}
	for _, ensure := range []func() error{
		func() error { return ensureSettings(ctx, services.Settings, tenant) },
		func() error { return ensureCORS(ctx, services.CORS, tenant) },
		func() error { return ensureLifecycle(ctx, services.Lifecycle, tenant, owner) },
	} {
		if err := ensure(); err != nil {
			return fmt.Errorf("bucket %s: %w", bucket, err)
		}
	}
	return nil
}

// ensureSettings opens what the tenant opens and, like the controller, opens the block before the ACL.
func ensureSettings(ctx context.Context, settings cloud.BucketSettings, tenant *v1alpha1.UploadTenant) error {
	spec := &tenant.Spec.Bucket
	public, acl := spec.ACL == v1alpha1.ACLPublicRead, "private"
	if public {
		acl = "public-read"
	}
	if public || signerconfig.SetsACL(tenant) {
		if err := settings.SetPublicAccessBlock(ctx, spec.Name, false); err != nil {
			return err
		}
	}
	if err := settings.SetACL(ctx, spec.Name, acl); err != nil {
		return err
	}
	if e := spec.Encryption; e != nil {
		if err := settings.SetEncryption(ctx, spec.Name, cloud.Encryption{Algorithm: e.Algorithm, KMSKeyID: e.KMSKeyID}); err != nil {
			return err
		}
	}
	if r := spec.Referer; r != nil {
		return settings.SetReferer(ctx, spec.Name, cloud.Referer{Allowed: r.Allowed, AllowEmpty: *r.AllowEmpty})
	}
	return nil
}

func ensureCORS(ctx context.Context, rules cloud.CORS, tenant *v1alpha1.UploadTenant) error {
	bucket := tenant.Spec.Bucket.Name
	var requests []policy.CORSRequest
	if cors := tenant.Spec.Bucket.CORS; cors != nil {
		requests = append(requests, policy.CORSRequest{AllowedOrigins: cors.AllowedOrigins, MaxAgeSeconds: int(*cors.MaxAgeSeconds)})
	}
	existing, err := rules.Rules(ctx, bucket)
	if err != nil {
		return err
	}
	merged, err := policy.MergeCORS(existing, requests)
	if err != nil || policy.SameCORS(existing, merged) {
		return err
	}
	return rules.SetRules(ctx, bucket, merged)
}

func ensureLifecycle(ctx context.Context, rules cloud.Lifecycle, tenant *v1alpha1.UploadTenant, owner policy.Owner) error {
	bucket := tenant.Spec.Bucket.Name
	existing, err := rules.Rules(ctx, bucket)
	if err != nil {
		return err
	}
	merged, err := policy.MergeLifecycle(existing, owner, policy.LifecycleRules(owner, signerconfig.Lifecycle(tenant)))
	if err != nil || policy.SameLifecycle(existing, merged) {
		return err
	}
	return rules.SetRules(ctx, bucket, merged)
}
