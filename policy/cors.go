package policy

import (
	"errors"
	"fmt"
	"slices"
)

// MaxCORSRules is the number of CORS rules that OSS takes per bucket.
const MaxCORSRules = 10

// corsMarker is an allowed header that no client sends. It changes nothing, because the rule allows every
// header, and it makes our rule recognisable in a document whose rules have no identifier.
const corsMarker = "x-uploadtenant-managed"

// ErrCORSFull is returned when a bucket has no room for another CORS rule.
var ErrCORSFull = errors.New("the bucket has no room for another CORS rule")

// CORSRule is one rule of a bucket's CORS document.
type CORSRule struct {
	AllowedOrigins []string
	AllowedMethods []string
	AllowedHeaders []string
	ExposeHeaders  []string
	MaxAgeSeconds  int
}

// CORSRequest is what one tenant asks of its bucket's CORS document.
type CORSRequest struct {
	AllowedOrigins []string
	MaxAgeSeconds  int
}

// MergeCORS returns the CORS document that a bucket should have: every foreign rule as it is and in its
// order, then at most one rule that serves the origins of all tenants. One rule is enough, because CORS
// rules of OSS speak of the whole bucket and not of a prefix. Without requests our rule disappears.
// It returns ErrCORSFull when the foreign rules leave no room.
func MergeCORS(existing []CORSRule, requests []CORSRequest) ([]CORSRule, error) {
	merged := make([]CORSRule, 0, len(existing)+1)
	for _, rule := range existing {
		if !ours(rule) {
			merged = append(merged, rule)
		}
	}
	rule, wanted := unionRule(requests)
	if !wanted {
		return merged, nil
	}
	if len(merged) >= MaxCORSRules {
		return nil, fmt.Errorf("%w: it holds %d rules of others and OSS takes %d", ErrCORSFull, len(merged), MaxCORSRules)
	}
	return append(merged, rule), nil
}

// SameCORS tells whether two documents are equal, apart from the order of lists within a rule. The order
// of rules matters: OSS applies the first that matches.
func SameCORS(a, b []CORSRule) bool {
	return slices.EqualFunc(a, b, func(x, y CORSRule) bool {
		return x.MaxAgeSeconds == y.MaxAgeSeconds &&
			sameSet(x.AllowedOrigins, y.AllowedOrigins) &&
			sameSet(x.AllowedMethods, y.AllowedMethods) &&
			sameSet(x.AllowedHeaders, y.AllowedHeaders) &&
			sameSet(x.ExposeHeaders, y.ExposeHeaders)
	})
}

func ours(rule CORSRule) bool { return slices.Contains(rule.AllowedHeaders, corsMarker) }

// unionRule serves every request. The browser's cache time is the shortest that a tenant asks for, so
// that no origin is trusted longer than its tenant wants.
func unionRule(requests []CORSRequest) (CORSRule, bool) {
	var origins []string
	maxAge := -1
	for _, r := range requests {
		if len(r.AllowedOrigins) == 0 {
			continue
		}
		origins = append(origins, r.AllowedOrigins...)
		if maxAge < 0 || r.MaxAgeSeconds < maxAge {
			maxAge = r.MaxAgeSeconds
		}
	}
	if len(origins) == 0 {
		return CORSRule{}, false
	}
	slices.Sort(origins)
	return CORSRule{
		AllowedOrigins: slices.Compact(origins),
		AllowedMethods: []string{"GET", "HEAD", "POST", "PUT"},
		AllowedHeaders: []string{"*", corsMarker},
		ExposeHeaders:  []string{"ETag", "Location", "x-oss-request-id"},
		MaxAgeSeconds:  maxAge,
	}, true
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}
