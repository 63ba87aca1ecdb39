package v1alpha1

import (
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Default fills what is left out with the defaults that the API server fills in from the CRD, for
// objects that come straight from a file. A test keeps the two alike.
func (t *UploadTenant) Default() {
	s := &t.Spec
	setDefault(&s.AccountRef.Name, "default")
	setDefault(&s.ManagementPolicy, ManagementFull)
	setDefault(&s.Bucket.Adoption, AdoptionNever)
	setDefault(&s.Bucket.ACL, ACLPrivate)
	setDefault(&s.Bucket.StorageClass, StorageStandard)
	setDefault(&s.Bucket.DeletionPolicy, DeletionRetain)
	setDefaultPointer(&s.Bucket.Lifecycle.AbortMultipartAfterDays, 7)
	if s.Bucket.Referer != nil {
		setDefaultPointer(&s.Bucket.Referer.AllowEmpty, true)
	}
	setDefault(&s.Signer.NetworkPolicy, NetworkPolicyRestricted)
	if scaling := s.Signer.Autoscaling; scaling != nil {
		setDefaultPointer(&scaling.MinReplicas, 1)
		setDefaultPointer(&scaling.TargetCPUUtilization, 80)
	}
	if s.Bucket.CORS != nil {
		setDefaultPointer(&s.Bucket.CORS.MaxAgeSeconds, 600)
	}
	setDefaultPointer(&s.Access.MaxSessionDuration, metav1.Duration{Duration: time.Hour})
	setDefaultPointer(&s.Access.AllowRead, true)
	setDefaultPointer(&s.Access.AllowDelete, true)
	setDefaultPointer(&s.Limits.Size.Min, resource.MustParse("1"))
	setDefaultPointer(&s.Limits.FilesPerRequest, 20)
	setDefault(&s.KeyTemplate, "{prefix}{user}/{yyyy}/{mm}/{dd}/{id}.{ext}")
	setDefault(&s.Grant.Signature, SignatureV4)
	setDefaultPointer(&s.Grant.Expiry, metav1.Duration{Duration: 5 * time.Minute})
	if jwt := s.Auth.JWT; jwt != nil {
		setDefault(&jwt.UserClaim, "sub")
		if jwt.SecretRef != nil {
			setDefault(&jwt.SecretRef.Key, "secret")
		}
	}
	if wechat := s.Auth.WeChat; wechat != nil {
		setDefault(&wechat.SecretRef.Key, "secret")
		setDefault(&wechat.UserFrom, WeChatOpenID)
		setDefaultPointer(&wechat.SessionDuration, metav1.Duration{Duration: 2 * time.Hour})
		setDefaultPointer(&wechat.FailedLoginsPerMinute, 60)
	}
	if forward := s.Auth.Forward; forward != nil {
		setDefaultPointer(&forward.CacheSeconds, 30)
	}
	if postgres := s.Index.Postgres; postgres != nil {
		setDefault(&postgres.SecretRef.Key, "secret")
		setDefaultPointer(&postgres.Port, 5432)
	}
	if s.Events != nil {
		setDefault(&s.Events.SecretRef.Key, "secret")
	}
	setDefault(&s.Deduplication.Scope, DeduplicationUser)
	setDefaultPointer(&s.Reads.MaxExpirySeconds, 3600)
	setDefault(&s.Verification.OnMismatch, MismatchQuarantine)
	setDefault(&s.Signer.LogLevel, SignerLogInfo)
	if t := s.Signer.Tracing; t != nil {
		setDefaultPointer(&t.SamplePercent, 100)
	}
	if m := s.Verification.MediaCheck; m != nil {
		setDefault(&m.Scene, MediaSceneSocialLog)
		setDefault(&m.OnReview, MediaReject)
		setDefault(&m.OnUnanswered, MediaReject)
	}
}

// Default fills what is left out with the defaults of the CRD.
func (a *CloudAccount) Default() {
	if len(a.Spec.CallbackKeys) == 0 {
		a.Spec.CallbackKeys = []string{"https://gosspublic.alicdn.com/", "http://gosspublic.alicdn.com/"}
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func setDefaultPointer[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}
