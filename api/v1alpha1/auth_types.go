package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AuthSpec tells how callers prove who they are. wechat may stand beside jwt or forward, so that one tenant
// serves a mini-program and a web page: its session tokens look like no other.
// +kubebuilder:validation:XValidation:rule="has(self.wechat) || has(self.jwt) || has(self.forward)",message="set auth.wechat, auth.jwt or auth.forward: a tenant without authentication is refused"
// +kubebuilder:validation:XValidation:rule="!(has(self.jwt) && has(self.forward))",message="set only one of auth.jwt and auth.forward: both would judge the same tokens; auth.wechat may stand beside either"
type AuthSpec struct {
	// wechat logs the users of a mini-program in: the signer trades the code of wx.login for a token of its own.
	// +optional
	WeChat *WeChatAuth `json:"wechat,omitempty"`

	// jwt accepts bearer tokens of the application's own identity provider.
	// +optional
	JWT *JWTAuth `json:"jwt,omitempty"`

	// forward asks the application who the caller is.
	// +optional
	Forward *ForwardAuth `json:"forward,omitempty"`
}

// JWTAuth verifies bearer tokens by a shared secret (HS256) or by published keys (RS256, ES256).
// +kubebuilder:validation:XValidation:rule="has(self.secretRef) != has(self.jwksURL)",message="set exactly one of auth.jwt.secretRef (HS256) and auth.jwt.jwksURL (RS256, ES256)"
type JWTAuth struct {
	// secretRef names the Secret and key that hold the HS256 secret, at least 32 bytes long.
	// +optional
	SecretRef *SecretKeyReference `json:"secretRef,omitempty"`

	// jwksURL publishes the verification keys as a JSON Web Key Set.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#\\\\s]+(/[^\\\\s]*)?$')",message="auth.jwt.jwksURL must be an http(s) URL, for example https://id.example.com/.well-known/jwks.json"
	// +optional
	JWKSURL string `json:"jwksURL,omitempty"`

	// issuer that the "iss" claim must equal. Empty accepts any issuer.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Issuer string `json:"issuer,omitempty"`

	// audience that the "aud" claim must contain. Empty accepts any audience: set it when the identity
	// provider serves other applications too.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Audience string `json:"audience,omitempty"`

	// userClaim is the claim that names the user.
	// +kubebuilder:default=sub
	// +kubebuilder:validation:MaxLength=128
	// +optional
	UserClaim string `json:"userClaim,omitempty"`

	// requiredClaims are claims and the value that each must have; of a claim that is a list, one item must
	// have it, for example {roles: uploader}.
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(c, size(c) > 0 && size(c) <= 128 && size(self[c]) > 0 && size(self[c]) <= 256)",message="auth.jwt.requiredClaims needs a name of 1 to 128 and a value of 1 to 256 characters for each claim"
	// +optional
	RequiredClaims map[string]string `json:"requiredClaims,omitempty"`
}

// WeChatUser says whom a WeChat login names as the user.
// +kubebuilder:validation:Enum=OpenID;UnionID
type WeChatUser string

// Users of a WeChat login.
const (
	// WeChatOpenID is the user's id within the mini-program.
	WeChatOpenID WeChatUser = "OpenID"
	// WeChatUnionID is the user's id within all applications of one WeChat Open Platform account.
	WeChatUnionID WeChatUser = "UnionID"
)

// WeChatAuth logs the users of a mini-program in by code2Session.
type WeChatAuth struct {
	// appID of the mini-program.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_-]+$')",message="auth.wechat.appID must be the AppID of the mini-program, for example wx0123456789abcdef"
	// +required
	AppID string `json:"appID"`

	// secretRef names the Secret and key with the AppSecret. A changed AppSecret is used at once.
	// +required
	SecretRef SecretKeyReference `json:"secretRef"`

	// userFrom says whom a login names: OpenID, or UnionID for mini-programs that are bound to a WeChat Open
	// Platform account. A change ends all sessions.
	// +kubebuilder:default=OpenID
	// +optional
	UserFrom WeChatUser `json:"userFrom,omitempty"`

	// sessionDuration of the tokens that the signer gives out, between 5m and 24h. Clients log in again
	// without asking the user.
	// +kubebuilder:default="2h"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(h|m|s|ms))+$') && duration(self) >= duration('5m') && duration(self) <= duration('24h')",message="auth.wechat.sessionDuration must be a duration between 5m and 24h"
	// +optional
	SessionDuration *metav1.Duration `json:"sessionDuration,omitempty"`

	// failedLoginsPerMinute that one address may have before it has to wait. Logins that succeed do not count.
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	// +optional
	FailedLoginsPerMinute *int32 `json:"failedLoginsPerMinute,omitempty"`

	// endpoint replaces https://api.weixin.qq.com, for an emulator or a proxy. It is given the AppSecret.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@\\\\s]+$')",message="auth.wechat.endpoint must be an http(s) base URL without a path, for example http://emulator.alibaba-cloud.svc:9001"
	// +optional
	Endpoint string `json:"endpoint,omitempty"`
}

// ForwardAuth asks the application who the caller is: GET url with the caller's Authorization header. An
// answer with status 2xx names the user, 401 and 403 are passed on, anything else is an outage (503).
// +kubebuilder:validation:XValidation:rule="!(has(self.userHeader) && has(self.userField))",message="set at most one of auth.forward.userHeader and auth.forward.userField"
type ForwardAuth struct {
	// url of the application. Redirects are not followed.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@\\\\s]+(/[^#\\\\s]*)?$')",message="auth.forward.url must be an http(s) URL without user or fragment, for example http://api.family.svc/internal/whoami"
	// +required
	URL string `json:"url"`

	// userHeader of the answer names the user; X-User-Id when neither it nor userField is set.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9-]+$')",message="auth.forward.userHeader must be the name of a header, for example X-User-Id"
	// +optional
	UserHeader string `json:"userHeader,omitempty"`

	// userField is where the answer's JSON names the user, as names separated by dots, for example data.id.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*$')",message="auth.forward.userField must be names separated by dots, for example data.id"
	// +optional
	UserField string `json:"userField,omitempty"`

	// cacheSeconds that an answer is trusted; 0 asks for every request. Cache-Control of the answer may
	// shorten it.
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	// +optional
	CacheSeconds *int32 `json:"cacheSeconds,omitempty"`
}
