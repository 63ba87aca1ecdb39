package uploadtenant

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/controllers/outcome"
	"github.com/uploadtenant/uploadtenant/controllers/signerconfig"
)

// ACLs as OSS names them.
const (
	aclPrivate    = "private"
	aclPublicRead = "public-read"
)

// settings makes what the whole bucket shares as the oldest of its tenants declares it; the others must not
// declare something else.
func (r *Reconciler) settings(ctx context.Context, s *scope) error {
	lead := s.claims.holders[0]
	if client.ObjectKeyFromObject(lead) != client.ObjectKeyFromObject(s.tenant) {
		return settingsAgree(lead, s.tenant)
	}
	spec := s.tenant.Spec.Bucket
	inputs := fingerprint(s.account.Spec, spec.Name, spec.ACL, spec.Encryption, spec.Referer)
	return r.unlessFresh(s, "settings", inputs, func() error { return r.ensureSettings(ctx, s) })
}

// settingsAgree refuses settings that differ from those of the tenant that leads.
func settingsAgree(lead, tenant *v1alpha1.UploadTenant) error {
	led := lead.DeepCopy()
	led.Default()
	mine, theirs := tenant.Spec.Bucket, led.Spec.Bucket
	var field string
	switch {
	case mine.ACL != theirs.ACL:
		field = "bucket.acl"
	case mine.Encryption != nil && !reflect.DeepEqual(mine.Encryption, theirs.Encryption):
		field = "bucket.encryption"
	case mine.Referer != nil && !reflect.DeepEqual(mine.Referer, theirs.Referer):
		field = "bucket.referer"
	default:
		return nil
	}
	return outcome.Fail(cloud.Conflict, v1alpha1.ReasonBucketSettingsConflict,
		"%s differs from that of %s/%s, the oldest tenant of the bucket: declare the same, or use another bucket", field, lead.Namespace, lead.Name)
}

func (r *Reconciler) ensureSettings(ctx context.Context, s *scope) error {
	name := s.tenant.Spec.Bucket.Name
	// The bucket phase may have trusted an earlier look; this one does not.
	observed, looked := s.bucket, s.bucket.Name != ""
	referer := cloud.Referer{AllowEmpty: true} // that of a new bucket
	return r.settle(ctx, s, document{
		read: func(ctx context.Context) (err error) {
			if !looked {
				if observed, _, err = s.services.Buckets.Observe(ctx, name); err != nil {
					return err
				}
			}
			looked = false
			if s.tenant.Spec.Bucket.Referer != nil {
				referer, err = s.services.Settings.Referer(ctx, name)
			}
			return err
		},
		pending: func(context.Context) (func(context.Context) error, error) {
			changes := slices.Concat(aclChanges(s, observed), encryptionChange(s, observed), refererChange(s, referer))
			if len(changes) == 0 {
				return nil, nil
			}
			return func(ctx context.Context) error {
				for _, c := range changes {
					s.changes.Because(c.because)
					if err := c.write(ctx); err != nil {
						return err
					}
				}
				return nil
			}, nil
		},
	})
}

// settingChange is one write to a bucket's settings, and why it is needed.
type settingChange struct {
	because string
	write   func(context.Context) error
}

// aclChanges open in the order block, ACL and close in the order ACL, block: OSS refuses a public ACL
// behind the block, and a bucket must not be open for a moment longer than declared.
func aclChanges(s *scope, observed cloud.Bucket) []settingChange {
	name := s.tenant.Spec.Bucket.Name
	block := func(blocked bool) []settingChange {
		if observed.PublicAccessBlocked == blocked {
			return nil
		}
		return []settingChange{{fmt.Sprintf("public access blocked: %t", blocked), func(ctx context.Context) error {
			return s.services.Settings.SetPublicAccessBlock(ctx, name, blocked)
		}}}
	}
	acl := func(want string) []settingChange {
		if observed.ACL == want {
			return nil
		}
		return []settingChange{{fmt.Sprintf("ACL %s instead of %s", want, orNone(observed.ACL)), func(ctx context.Context) error {
			return s.services.Settings.SetACL(ctx, name, want)
		}}}
	}
	if s.tenant.Spec.Bucket.ACL == v1alpha1.ACLPublicRead {
		return append(block(false), acl(aclPublicRead)...)
	}
	// verification.publicRead makes single objects public, which the block would refuse.
	return append(acl(aclPrivate), block(!signerconfig.SetsACL(s.tenant))...)
}

func encryptionChange(s *scope, observed cloud.Bucket) []settingChange {
	spec := s.tenant.Spec.Bucket.Encryption
	if spec == nil {
		return nil
	}
	want := cloud.Encryption{Algorithm: spec.Algorithm, KMSKeyID: spec.KMSKeyID}
	if observed.Encryption == want {
		return nil
	}
	because := fmt.Sprintf("algorithm %s instead of %s", want.Algorithm, orNone(observed.Encryption.Algorithm))
	return []settingChange{{because, func(ctx context.Context) error {
		return s.services.Settings.SetEncryption(ctx, s.tenant.Spec.Bucket.Name, want)
	}}}
}

func refererChange(s *scope, got cloud.Referer) []settingChange {
	spec := s.tenant.Spec.Bucket.Referer
	if spec == nil {
		return nil
	}
	want := cloud.Referer{Allowed: spec.Allowed, AllowEmpty: *spec.AllowEmpty}
	if sameReferer(got, want) {
		return nil
	}
	because := fmt.Sprintf("%d allowed referers, empty allowed: %t", len(want.Allowed), want.AllowEmpty)
	return []settingChange{{because, func(ctx context.Context) error {
		return s.services.Settings.SetReferer(ctx, s.tenant.Spec.Bucket.Name, want)
	}}}
}

func sameReferer(a, b cloud.Referer) bool {
	x, y := slices.Clone(a.Allowed), slices.Clone(b.Allowed)
	slices.Sort(x)
	slices.Sort(y)
	return a.AllowEmpty == b.AllowEmpty && slices.Equal(x, y)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
