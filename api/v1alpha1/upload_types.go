package v1alpha1

import "k8s.io/apimachinery/pkg/api/resource"

// UsageLimits bound what may be asked for over time.
type UsageLimits struct {
	// requestsPerMinute of the signer's API, with bursts of a quarter of it. Unset means no limit. Each
	// replica counts for itself.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	// +optional
	RequestsPerMinute *int32 `json:"requestsPerMinute,omitempty"`

	// bytesPerDay that may be uploaded, by the UTC day. Grants count until they are used or expire. Unset
	// means no limit.
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('1')) >= 0",message="bytesPerDay must be at least 1, for example 2Gi"
	// +optional
	BytesPerDay *resource.Quantity `json:"bytesPerDay,omitempty"`
}

// DeduplicationScope tells whose stored content is known.
// +kubebuilder:validation:Enum=Off;User;Tenant
type DeduplicationScope string

const (
	// DeduplicationOff uploads every file.
	DeduplicationOff DeduplicationScope = "Off"
	// DeduplicationUser spares a user the upload of what the same user has stored.
	DeduplicationUser DeduplicationScope = "User"
	// DeduplicationTenant also spares what another user has stored, after a proof of possession.
	DeduplicationTenant DeduplicationScope = "Tenant"
)

// DeduplicationSpec spares clients the upload of content that is stored already.
type DeduplicationSpec struct {
	// scope of the content that counts as known. Tenant lets a client that has a file learn that another
	// user has it too; what it does not have, it cannot get.
	// +kubebuilder:default=User
	// +optional
	Scope DeduplicationScope `json:"scope,omitempty"`
}

// ReadsSpec shapes presigned downloads.
type ReadsSpec struct {
	// maxExpirySeconds of a presigned URL.
	// +kubebuilder:default=3600
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=604800
	// +optional
	MaxExpirySeconds *int32 `json:"maxExpirySeconds,omitempty"`

	// processes are the values of x-oss-process that clients may ask for, for example style/thumb or
	// image/resize,w_200. Empty allows none.
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	// +listType=set
	// +optional
	Processes []string `json:"processes,omitempty"`
}

// MismatchAction tells what becomes of an object whose content is not what its type claims.
// +kubebuilder:validation:Enum=Quarantine;Delete
type MismatchAction string

const (
	// MismatchQuarantine keeps the object, tagged uploadtenant-status: rejected, out of the signer's reads.
	MismatchQuarantine MismatchAction = "Quarantine"
	// MismatchDelete removes the object.
	MismatchDelete MismatchAction = "Delete"
)

// TagValue is the value of an object tag.
// +kubebuilder:validation:MaxLength=256
// +kubebuilder:validation:Pattern=`^[A-Za-z0-9 +=._:/-]*$`
type TagValue string

// VerificationSpec declares what happens between the record of an upload and the event upload.completed.
type VerificationSpec struct {
	// sniff reads the first bytes of each object and holds them against its content type. An upload that
	// lies becomes status rejected, with the event upload.rejected instead of upload.completed.
	// +optional
	Sniff *bool `json:"sniff,omitempty"`

	// onMismatch tells what becomes of the object of a rejected upload: Quarantine leaves it where it is,
	// private and tagged uploadtenant-status=rejected, and unreadable through the signer.
	// +kubebuilder:default=Quarantine
	// +optional
	OnMismatch MismatchAction `json:"onMismatch,omitempty"`

	// tags are set on every verified object, for example for lifecycle rules or a CDN.
	// +kubebuilder:validation:MaxProperties=9
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) >= 1 && size(k) <= 128)",message="every key of verification.tags must have 1 to 128 characters"
	// +optional
	Tags map[string]TagValue `json:"tags,omitempty"`

	// publicRead makes every verified object readable without a signature, and the bucket no longer blocks
	// public access.
	// +optional
	PublicRead *bool `json:"publicRead,omitempty"`

	// mediaCheck asks WeChat about every image and sound before its upload is completed. It needs
	// auth.wechat, because WeChat wants to know whose upload it is.
	// +optional
	MediaCheck *MediaCheckSpec `json:"mediaCheck,omitempty"`
}

// MediaScene tells WeChat where an upload will be seen.
// +kubebuilder:validation:Enum=Profile;Comment;Forum;SocialLog
type MediaScene string

// Scenes of mediaCheckAsync.
const (
	// MediaSceneProfile is a user's profile, for example an avatar.
	MediaSceneProfile MediaScene = "Profile"
	// MediaSceneComment is a comment.
	MediaSceneComment MediaScene = "Comment"
	// MediaSceneForum is a forum.
	MediaSceneForum MediaScene = "Forum"
	// MediaSceneSocialLog is what a user shows to others, for example an album.
	MediaSceneSocialLog MediaScene = "SocialLog"
)

// MediaDecision tells what becomes of an upload that WeChat neither passes nor calls risky.
// +kubebuilder:validation:Enum=Accept;Reject
type MediaDecision string

// Decisions about uploads that WeChat does not decide.
const (
	// MediaAccept completes the upload.
	MediaAccept MediaDecision = "Accept"
	// MediaReject rejects the upload. Its object stays, tagged, also with onMismatch Delete.
	MediaReject MediaDecision = "Reject"
)

// MediaCheckSpec asks WeChat's mediaCheckAsync about uploads. The verdict arrives within half an hour as a
// push message at /v1/wechat/push of the signer, until which the upload is verifying.
type MediaCheckSpec struct {
	// pushSecretRef names the Secret with the key "token" of the mini-program's message push and, when its
	// messages are encrypted, the key "encodingAESKey". With that key, messages in the clear are refused.
	// +required
	PushSecretRef LocalSecretReference `json:"pushSecretRef"`

	// scene in which the uploads will be seen.
	// +kubebuilder:default=SocialLog
	// +optional
	Scene MediaScene `json:"scene,omitempty"`

	// onReview tells what becomes of an upload that WeChat wants a person to look at.
	// +kubebuilder:default=Reject
	// +optional
	OnReview MediaDecision `json:"onReview,omitempty"`

	// onUnanswered tells what becomes of an upload that WeChat does not judge: no verdict within two hours,
	// a user whom WeChat has not seen for two hours, an image above 20 MB or a sound above 10 MB.
	// +kubebuilder:default=Reject
	// +optional
	OnUnanswered MediaDecision `json:"onUnanswered,omitempty"`
}
