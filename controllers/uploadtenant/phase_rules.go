package uploadtenant

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/controllers/outcome"
	"github.com/uploadtenant/uploadtenant/controllers/signerconfig"
	"github.com/uploadtenant/uploadtenant/policy"
)

// cors merges the origins of all tenants of the bucket into its CORS document.
func (r *Reconciler) cors(ctx context.Context, s *scope) error {
	inputs := fingerprint(s.account.Spec, s.tenant.Spec.Bucket.Name, s.claims.corsRequests())
	return r.unlessFresh(s, "cors", inputs, func() error { return r.mergeCORS(ctx, s) })
}

// mergeCORS settles the CORS document for the tenants that the bucket has now.
func (r *Reconciler) mergeCORS(ctx context.Context, s *scope) error {
	bucket := s.tenant.Spec.Bucket.Name
	var existing []policy.CORSRule
	return r.settle(ctx, s, document{
		read: func(ctx context.Context) (err error) {
			existing, err = s.services.CORS.Rules(ctx, bucket)
			return err
		},
		pending: func(ctx context.Context) (func(context.Context) error, error) {
			claimed, err := r.bucketClaims(ctx, s)
			if err != nil {
				return nil, err
			}
			merged, err := policy.MergeCORS(existing, claimed.corsRequests())
			if errors.Is(err, policy.ErrCORSFull) {
				return nil, outcome.Because(err, cloud.Quota, v1alpha1.ReasonCORSRulesExceeded,
					"bucket %s: %s: remove one of them", bucket, err.Error())
			}
			if err != nil || policy.SameCORS(existing, merged) {
				return nil, err
			}
			return func(ctx context.Context) error {
				s.changes.Because("origins: " + origins(merged))
				if err := s.services.CORS.SetRules(ctx, bucket, merged); err != nil {
					return err
				}
				log.FromContext(ctx).Info("Changed CORS rules", "bucket", bucket, "rules", len(merged))
				return nil
			}, nil
		},
	})
}

// origins names what the last rule, which is ours, allows.
func origins(rules []policy.CORSRule) string {
	if len(rules) == 0 {
		return "none"
	}
	return strings.Join(rules[len(rules)-1].AllowedOrigins, ", ")
}

// lifecycle merges the tenant's rules into the bucket's lifecycle document.
func (r *Reconciler) lifecycle(ctx context.Context, s *scope) error {
	spec := s.tenant.Spec.Bucket
	want := signerconfig.Lifecycle(s.tenant)
	inputs := fingerprint(s.account.Spec, spec.Name, want)
	return r.unlessFresh(s, "lifecycle", inputs, func() error {
		return r.mergeLifecycle(ctx, s, policy.LifecycleRules(s.owner, want))
	})
}

// mergeLifecycle replaces the tenant's rules in the bucket's lifecycle document. When that takes a write, the
// rules of all tenants that are about to do the same go along.
func (r *Reconciler) mergeLifecycle(ctx context.Context, s *scope, own []policy.LifecycleRule) error {
	bucket := s.tenant.Spec.Bucket.Name
	if !s.changes.DryRun {
		defer r.wishes.add(bucketLock(s), s.owner, own)()
	}
	var existing []policy.LifecycleRule
	return r.settle(ctx, s, document{
		read: func(ctx context.Context) (err error) {
			existing, err = s.services.Lifecycle.Rules(ctx, bucket)
			return err
		},
		pending: func(context.Context) (func(context.Context) error, error) {
			merged, err := policy.MergeLifecycle(existing, s.owner, own)
			if errors.Is(err, policy.ErrLifecycleFull) {
				return nil, outcome.Because(err, cloud.Quota, v1alpha1.ReasonLifecycleRulesExceeded,
					"bucket %s: %s: remove some of them", bucket, err.Error())
			}
			if err != nil || policy.SameLifecycle(existing, merged) {
				return nil, err
			}
			merged = r.wishes.mergeInto(bucketLock(s), merged)
			return func(ctx context.Context) error {
				s.changes.Because(fmt.Sprintf("%d of the rules are for this tenant", len(own)))
				if err := s.services.Lifecycle.SetRules(ctx, bucket, merged); err != nil {
					return err
				}
				log.FromContext(ctx).Info("Changed lifecycle rules", "bucket", bucket, "rules", len(merged))
				return nil
			}, nil
		},
	})
}
