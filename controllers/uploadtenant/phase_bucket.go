package uploadtenant

import (
	"context"
	"errors"
	"maps"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/controllers/outcome"
	"github.com/uploadtenant/uploadtenant/controllers/signerconfig"
	"github.com/uploadtenant/uploadtenant/policy"
)

// bucket makes the bucket exist and belong to this cluster, and the prefix belong to this tenant.
func (r *Reconciler) bucket(ctx context.Context, s *scope) error {
	spec := &s.tenant.Spec.Bucket
	s.tenant.Status.Bucket = &v1alpha1.BucketStatus{
		Endpoint:  signerconfig.OSSEndpoint(s.account),
		UploadURL: signerconfig.UploadURL(s.tenant, s.account),
	}
	claimed, err := r.bucketClaims(ctx, s)
	if err != nil {
		return err
	}
	s.claims = claimed
	if holder := claimed.refused[client.ObjectKeyFromObject(s.tenant)]; holder != nil {
		return outcome.Fail(cloud.Conflict, v1alpha1.ReasonPrefixTaken,
			"bucket.prefix %s overlaps %s of the older tenant %s/%s in the same bucket: choose another prefix",
			spec.Prefix, holder.Spec.Bucket.Prefix, holder.Namespace, holder.Name)
	}
	inputs := fingerprint(s.account.Spec, spec.Name, spec.Adoption)
	return r.unlessFresh(s, "bucket", inputs, func() error { return r.ensureBucket(ctx, s) })
}

// unlessFresh makes a part true unless it was found true with the same inputs not long ago. What it had to
// change although the inputs are those of the last time, had changed outside.
func (r *Reconciler) unlessFresh(s *scope, part, inputs string, ensure func() error) error {
	if s.fresh && r.freshness.holds(s.tenant.UID, part, inputs) {
		return nil
	}
	before := len(s.changes.List)
	if err := ensure(); err != nil || s.changes.DryRun {
		return err
	}
	same, any := r.freshness.known(s.tenant.UID, part, inputs)
	if same || !any && s.wasReady() {
		s.drift = append(s.drift, s.changes.List[before:]...)
	}
	r.freshness.found(s.tenant.UID, part, inputs, r.validity(s))
	return nil
}

func (r *Reconciler) ensureBucket(ctx context.Context, s *scope) error {
	name := s.tenant.Spec.Bucket.Name
	var found bool
	var tags map[string]string
	return r.settle(ctx, s, document{
		read: func(ctx context.Context) (err error) {
			if s.bucket, found, err = s.services.Buckets.Observe(ctx, name); err != nil || !found {
				return err
			}
			if err := bucketUsable(s); err != nil {
				return err
			}
			tags, err = s.services.Buckets.Tags(ctx, name)
			return err
		},
		pending: func(context.Context) (func(context.Context) error, error) {
			if !found {
				return func(ctx context.Context) error { return r.createBucket(ctx, s, name) }, nil
			}
			return r.claim(s, name, tags)
		},
	})
}

// bucketUsable refuses a bucket that the account cannot give to a tenant.
func bucketUsable(s *scope) error {
	if s.bucket.OwnerID != s.account.Spec.AccountID {
		return outcome.Fail(cloud.Conflict, v1alpha1.ReasonBucketOwnedByOther,
			"bucket %s belongs to another Alibaba Cloud account: choose another bucket.name", s.bucket.Name)
	}
	if s.bucket.Region != s.account.Spec.Region {
		return outcome.Fail(cloud.Conflict, v1alpha1.ReasonBucketInOtherRegion,
			"bucket %s is in region %s, and CloudAccount %s is for %s: choose another bucket.name or another account",
			s.bucket.Name, s.bucket.Region, s.account.Name, s.account.Spec.Region)
	}
	return nil
}

// createBucket writes down its intention first, so that a bucket left untagged by a crash is recognised.
func (r *Reconciler) createBucket(ctx context.Context, s *scope, name string) error {
	if s.tenant.Annotations[v1alpha1.AnnotationCreatingBucket] != name && !s.changes.DryRun {
		err := r.patchMetadata(ctx, s, func(t *v1alpha1.UploadTenant) {
			if t.Annotations == nil {
				t.Annotations = map[string]string{}
			}
			t.Annotations[v1alpha1.AnnotationCreatingBucket] = name
		})
		if err != nil {
			return err
		}
	}
	if err := s.services.Buckets.Create(ctx, name, string(s.tenant.Spec.Bucket.StorageClass)); err != nil {
		var refused *cloud.Error
		if errors.As(err, &refused) && refused.Class == cloud.Conflict {
			return outcome.Because(err, cloud.Conflict, v1alpha1.ReasonBucketOwnedByOther,
				"bucket %s belongs to another Alibaba Cloud account: choose another bucket.name", name)
		}
		return err
	}
	log.FromContext(ctx).Info("Created bucket", "bucket", name)
	s.bucketCreated = true
	if err := r.observeCreated(ctx, s, name); err != nil {
		return err
	}
	claim, err := r.claim(s, name, nil)
	if err != nil {
		return err
	}
	return claim(ctx)
}

// observeCreated reads the settings that OSS gave to a new bucket: what they are by default has changed over
// the years, as with the public-access block.
func (r *Reconciler) observeCreated(ctx context.Context, s *scope, name string) error {
	if s.changes.DryRun {
		s.bucket = cloud.Bucket{Name: name, ACL: aclPrivate, PublicAccessBlocked: true}
		return nil
	}
	observed, found, err := s.services.Buckets.Observe(ctx, name)
	if err != nil {
		return err
	}
	if !found {
		return outcome.Fail(cloud.Waiting, v1alpha1.ReasonProgressing, "bucket %s was created and cannot be seen yet", name)
	}
	s.bucket = observed
	return nil
}

// claim returns how to tag the bucket for this cluster, nil when it is, or tells why it must not be.
func (r *Reconciler) claim(s *scope, name string, tags map[string]string) (func(context.Context) error, error) {
	switch holder := tags[policy.BucketOwnerTag]; {
	case holder == r.ClusterID:
		return nil, nil
	case holder != "":
		return nil, outcome.Fail(cloud.Conflict, v1alpha1.ReasonBucketOwnedByOther,
			"bucket %s is managed by cluster %s: choose another bucket.name; if this cluster replaces that one, start the manager with --cluster-id=%s",
			name, holder, holder)
	case s.bucketCreated, s.tenant.Annotations[v1alpha1.AnnotationCreatingBucket] == name:
	case s.tenant.Spec.Bucket.Adoption == v1alpha1.AdoptionIfUnowned:
	default:
		return nil, outcome.Fail(cloud.Conflict, v1alpha1.ReasonBucketNotOwned,
			"bucket %s already exists and was not created for a tenant: set bucket.adoption to IfUnowned to manage it, or choose another bucket.name", name)
	}
	claimed := maps.Clone(tags)
	if claimed == nil {
		claimed = map[string]string{}
	}
	claimed[policy.BucketOwnerTag] = r.ClusterID
	return func(ctx context.Context) error {
		if err := s.services.Buckets.SetTags(ctx, name, claimed); err != nil {
			return err
		}
		log.FromContext(ctx).Info("Claimed bucket", "bucket", name)
		return nil
	}, nil
}
