package config

import (
	"strings"
)

// Auth tells how callers prove who they are. Nothing set refuses everybody. WeChat may stand beside either of
// the others, because its session tokens look like no other; JWT and Forward exclude each other.
type Auth struct {
	JWT     *JWT     `json:"jwt,omitempty"`
	WeChat  *WeChat  `json:"wechat,omitempty"`
	Forward *Forward `json:"forward,omitempty"`
}

// JWT verifies bearer tokens; exactly one of HS256SecretFile and JWKSURL is set.
type JWT struct {
	HS256SecretFile string `json:"hs256SecretFile,omitempty"`
	JWKSURL         string `json:"jwksURL,omitempty"`
	Issuer          string `json:"issuer,omitempty"`
	Audience        string `json:"audience,omitempty"`
	UserClaim       string `json:"userClaim"`
	// RequiredClaims must have these values; of a claim that is a list, one item must.
	RequiredClaims map[string]string `json:"requiredClaims,omitempty"`
}

// WeChat logs users of a mini-program in: code2Session, then session tokens of the signer.
type WeChat struct {
	AppID string `json:"appID"`
	// SecretFile holds the AppSecret.
	SecretFile string `json:"secretFile"`
	// BaseURL replaces https://api.weixin.qq.com, for an emulator or a proxy.
	BaseURL string `json:"baseURL,omitempty"`
	// SessionDuration of a token; zero means 7200.
	SessionDuration int64 `json:"sessionDuration,omitempty"`
	// UserFrom is UserFromOpenID, also when it is empty, or UserFromUnionID.
	UserFrom string `json:"userFrom,omitempty"`
	// FailedLoginsPerMinute that one address may have; zero means 60.
	FailedLoginsPerMinute int `json:"failedLoginsPerMinute,omitempty"`
}

// Whom a WeChat login names as the user.
const (
	UserFromOpenID  = "OpenID"
	UserFromUnionID = "UnionID"
)

// Forward asks the application who a caller is: a GET with the caller's Authorization header.
type Forward struct {
	URL string `json:"url"`
	// UserHeader of the answer; empty means X-User-Id, unless UserField is set.
	UserHeader string `json:"userHeader,omitempty"`
	// UserField is a path of names separated by dots into the answer's JSON.
	UserField string `json:"userField,omitempty"`
	// CacheSeconds that an answer is trusted; nil means 30, 0 asks every time.
	CacheSeconds *int64 `json:"cacheSeconds,omitempty"`
}

// validate returns every problem, joined.
func (a *Auth) validate() error {
	var p problems
	p.check(a.JWT == nil || a.Forward == nil, "auth.jwt and auth.forward exclude each other: both would judge the same tokens")
	if a.JWT != nil {
		a.JWT.validate(&p)
	}
	if a.WeChat != nil {
		a.WeChat.validate(&p)
	}
	if a.Forward != nil {
		a.Forward.validate(&p)
	}
	return p.joined()
}

func (jwt *JWT) validate(p *problems) {
	p.check((jwt.HS256SecretFile == "") != (jwt.JWKSURL == ""), "auth.jwt needs exactly one of hs256SecretFile and jwksURL")
	p.check(jwt.UserClaim != "", "auth.jwt.userClaim is empty")
	for claim, value := range jwt.RequiredClaims {
		p.check(claim != "" && value != "", "auth.jwt.requiredClaims needs a name and a value for each claim")
	}
}

func (w *WeChat) validate(p *problems) {
	p.check(w.AppID != "", "auth.wechat.appID is empty")
	p.check(w.SecretFile != "", "auth.wechat.secretFile is empty")
	p.check(w.BaseURL == "" || isBaseURL(w.BaseURL), "auth.wechat.baseURL must be an http(s) URL")
	p.check(w.SessionDuration == 0 || w.SessionDuration >= 60 && w.SessionDuration <= 7*24*3600, "auth.wechat.sessionDuration %d must be between 60 and 604800 seconds", w.SessionDuration)
	p.check(w.UserFrom == "" || w.UserFrom == UserFromOpenID || w.UserFrom == UserFromUnionID, "auth.wechat.userFrom %q must be OpenID or UnionID", w.UserFrom)
	p.check(w.FailedLoginsPerMinute >= 0, "auth.wechat.failedLoginsPerMinute must not be negative")
}

func (f *Forward) validate(p *problems) {
	p.check(isBaseURL(f.URL), "auth.forward.url must be an http(s) URL")
	p.check(f.UserHeader == "" || f.UserField == "", "auth.forward needs at most one of userHeader and userField")
	p.check(!strings.ContainsAny(f.UserHeader, " :,\t\r\n"), "auth.forward.userHeader %q must be the name of a header", f.UserHeader)
	p.check(f.CacheSeconds == nil || *f.CacheSeconds >= 0 && *f.CacheSeconds <= 3600, "auth.forward.cacheSeconds must be between 0 and 3600")
}
