package signerconfig

import (
	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/policy"
)

// Access is what the tenant's RAM policy is made of. Both objects must have their defaults.
func Access(tenant *v1alpha1.UploadTenant, account *v1alpha1.CloudAccount) policy.Access {
	spec := &tenant.Spec
	a := policy.Access{
		Bucket:     spec.Bucket.Name,
		Prefix:     spec.Bucket.Prefix,
		Read:       *spec.Access.AllowRead,
		Delete:     *spec.Access.AllowDelete,
		Tag:        SetsTags(tenant),
		ReadTags:   ReadsTags(tenant),
		SetACL:     SetsACL(tenant),
		RequireTLS: RequiresTLS(tenant, account),
	}
	for _, s := range spec.Access.AdditionalStatements {
		var resources []string
		for _, key := range s.Keys {
			resources = append(resources, policy.ObjectARN(spec.Bucket.Name, spec.Bucket.Prefix+key))
		}
		a.Additional = append(a.Additional, policy.Statement{Effect: s.Effect, Action: s.Actions, Resource: resources})
	}
	return a
}

// Lifecycle is what the tenant asks of its bucket's lifecycle document.
func Lifecycle(tenant *v1alpha1.UploadTenant) policy.Lifecycle {
	spec := &tenant.Spec.Bucket
	l := policy.Lifecycle{Prefix: spec.Prefix, AbortMultipartDays: int(*spec.Lifecycle.AbortMultipartAfterDays)}
	if temporary := spec.Lifecycle.Temporary; temporary != nil {
		l.TemporaryPrefix, l.TemporaryDays = temporary.Prefix, int(temporary.AfterDays)
	}
	return l
}
