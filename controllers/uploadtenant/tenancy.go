package uploadtenant

import (
	"strings"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/controllers/outcome"
)

// allowed refuses tenants that the account's tenancy does not provide for. The admission policy refuses
// them earlier, but only where it is installed, and only when they are created.
func allowed(account *v1alpha1.CloudAccount, tenant *v1alpha1.UploadTenant) error {
	rules := account.Spec.Tenancy
	if rules == nil {
		return nil
	}
	refuse := func(field, value string, accepted []string) error {
		return outcome.Fail(cloud.Denied, v1alpha1.ReasonNotAllowed, "CloudAccount %s does not allow %s %s, only %s: change it, or ask the platform team",
			account.Name, field, value, strings.Join(accepted, ", "))
	}
	local := func(pattern string) string { return strings.ReplaceAll(pattern, "{namespace}", tenant.Namespace) }
	switch {
	case !matchesAny(rules.Namespaces, tenant.Namespace):
		return refuse("namespace", tenant.Namespace, rules.Namespaces)
	case !matchesAny(mapped(rules.BucketNames, local), tenant.Spec.Bucket.Name):
		return refuse("bucket.name", tenant.Spec.Bucket.Name, rules.BucketNames)
	case !strings.HasPrefix(tenant.Spec.Bucket.Prefix, local(rules.Prefix)):
		return refuse("bucket.prefix", tenant.Spec.Bucket.Prefix, []string{rules.Prefix})
	}
	return nil
}

// matchesAny tells whether a value is one of the patterns, which may end with *. No pattern allows all.
func matchesAny(patterns []string, value string) bool {
	for _, pattern := range patterns {
		if prefix, wild := strings.CutSuffix(pattern, "*"); wild && strings.HasPrefix(value, prefix) || value == pattern {
			return true
		}
	}
	return len(patterns) == 0
}

func mapped(values []string, f func(string) string) []string {
	out := make([]string, 0, len(values))
	for _, v := range values {
		out = append(out, f(v))
	}
	return out
}
