package signerconfig

import (
	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/signer/config"
)

// authConfig translates spec.auth.
func authConfig(spec *v1alpha1.AuthSpec) config.Auth {
	var c config.Auth
	if jwt := spec.JWT; jwt != nil {
		c.JWT = &config.JWT{JWKSURL: jwt.JWKSURL, Issuer: jwt.Issuer, Audience: jwt.Audience, UserClaim: jwt.UserClaim, RequiredClaims: jwt.RequiredClaims}
		if jwt.SecretRef != nil {
			c.JWT.HS256SecretFile = JWTSecretFile
		}
	}
	if wechat := spec.WeChat; wechat != nil {
		c.WeChat = &config.WeChat{
			AppID: wechat.AppID, SecretFile: WeChatSecretFile, BaseURL: wechat.Endpoint,
			SessionDuration: int64(wechat.SessionDuration.Seconds()), UserFrom: string(wechat.UserFrom),
			FailedLoginsPerMinute: int(*wechat.FailedLoginsPerMinute),
		}
	}
	if forward := spec.Forward; forward != nil {
		cache := int64(*forward.CacheSeconds)
		c.Forward = &config.Forward{URL: forward.URL, UserHeader: forward.UserHeader, UserField: forward.UserField, CacheSeconds: &cache}
	}
	return c
}
