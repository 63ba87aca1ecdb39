package signerconfig

import (
	"net/url"
	"strings"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/signer/config"
)

func isTrue(b *bool) bool { return b != nil && *b }

func verification(spec *v1alpha1.VerificationSpec) config.Verification {
	v := config.Verification{Sniff: isTrue(spec.Sniff), Delete: spec.OnMismatch == v1alpha1.MismatchDelete}
	for key, value := range spec.Tags {
		if v.Tags == nil {
			v.Tags = map[string]string{}
		}
		v.Tags[key] = string(value)
	}
	if isTrue(spec.PublicRead) {
		v.ACL = "public-read"
	}
	if m := spec.MediaCheck; m != nil {
		v.MediaCheck = &config.MediaCheck{
			Scene: mediaScenes[m.Scene], PushTokenFile: PushTokenFile, PushAESKeyFile: PushAESKeyFile,
			AcceptReview: m.OnReview == v1alpha1.MediaAccept, AcceptUnanswered: m.OnUnanswered == v1alpha1.MediaAccept,
		}
	}
	return v
}

// mediaScenes are the numbers that mediaCheckAsync gives them.
var mediaScenes = map[v1alpha1.MediaScene]int{
	v1alpha1.MediaSceneProfile: 1, v1alpha1.MediaSceneComment: 2, v1alpha1.MediaSceneForum: 3, v1alpha1.MediaSceneSocialLog: 4,
}

// SetsTags tells whether the signer sets tags on objects, for which its role needs a right.
func SetsTags(tenant *v1alpha1.UploadTenant) bool {
	v := &tenant.Spec.Verification
	return len(v.Tags) > 0 || v.MediaCheck != nil || isTrue(v.Sniff) && v.OnMismatch != v1alpha1.MismatchDelete
}

// ReadsTags tells whether the signer reads the tags of objects: an index that is rebuilt finds there what
// WeChat said, which nobody can ask it again.
func ReadsTags(tenant *v1alpha1.UploadTenant) bool { return tenant.Spec.Verification.MediaCheck != nil }

// SetsACL tells whether the signer sets the ACL of objects.
func SetsACL(tenant *v1alpha1.UploadTenant) bool { return isTrue(tenant.Spec.Verification.PublicRead) }

// clusterService tells whether a URL names a Service of the cluster. Such a name says by itself that the
// address is private, and the signer reaches no more of the cluster than any pod of its namespace.
func clusterService(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	host := strings.TrimSuffix(u.Hostname(), ".")
	for _, suffix := range []string{".svc.cluster.local", ".svc"} {
		if name, ok := strings.CutSuffix(host, suffix); ok {
			service, namespace, _ := strings.Cut(name, ".")
			return isLabel(service) && isLabel(namespace)
		}
	}
	// <service> is completed by the resolver of the pod; localhost is no Service.
	return isLabel(host) && host != "localhost"
}

// isLabel tells whether s could name a Service; a number, which some resolvers take for an address, could not.
func isLabel(s string) bool {
	return s != "" && s[0] >= 'a' && s[0] <= 'z' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
