package devmode

import (
	"fmt"

	"github.com/uploadtenant/uploadtenant/devmode/manifest"
	"github.com/uploadtenant/uploadtenant/emulator/wechat"
	"github.com/uploadtenant/uploadtenant/signer/config"
)

// weChatApps are the mini-programs that the emulated WeChat knows: the tenant's, when the file has its
// AppSecret. Without any it takes every AppID with every AppSecret.
func (s *Server) weChatApps(m *manifest.Manifest) map[string]string {
	login := s.Tenant.Spec.Auth.WeChat
	if login == nil {
		return nil
	}
	secret, ok := m.Secrets[login.SecretRef.Name][login.SecretRef.Key]
	if !ok {
		return nil
	}
	return map[string]string{login.AppID: string(secret)}
}

// weChatConfig lets the signer ask the emulated WeChat, unless the tenant names an endpoint, so that a real
// mini-program can be tried too. The AppSecret may be left out of the file only with the emulated one.
func (s *Server) weChatConfig(c *config.WeChat, m *manifest.Manifest) (err error) {
	ref := s.Tenant.Spec.Auth.WeChat.SecretRef
	emulated := c.BaseURL == ""
	if emulated {
		c.BaseURL = s.APIURL
	}
	if emulated && m.Secrets[ref.Name] == nil {
		if err := s.state.write("wechat-secret", []byte("any")); err != nil {
			return err
		}
		c.SecretFile = s.state.keys() + "/wechat-secret"
		return nil
	}
	c.SecretFile, err = s.secretFile(m, "wechat-secret", "spec.auth.wechat", ref)
	return err
}

// pushPath is where the signer takes the push messages of WeChat.
const pushPath = "/v1/wechat/push"

// pushSecrets are the token and, when messages are encrypted, the EncodingAESKey of the message push; a file
// without the Secret gets a token that is as good as any on one machine.
func (s *Server) pushSecrets(m *manifest.Manifest) (token, aesKey string, err error) {
	check := s.Tenant.Spec.Verification.MediaCheck
	if check == nil {
		return "", "", nil
	}
	secret := m.Secrets[check.PushSecretRef.Name]
	if secret == nil {
		return "any", "", nil
	}
	if len(secret["token"]) == 0 {
		return "", "", fmt.Errorf("spec.verification.mediaCheck.pushSecretRef names Secret %s/%s, and the Secret of the file has no key \"token\": add it, or leave the Secret out",
			s.Tenant.Namespace, check.PushSecretRef.Name)
	}
	return string(secret["token"]), string(secret["encodingAESKey"]), nil
}

// weChatPush lets the emulated WeChat push its verdicts to the signer.
func (s *Server) weChatPush(m *manifest.Manifest) (wechat.Push, error) {
	token, aesKey, err := s.pushSecrets(m)
	if token == "" || err != nil {
		return wechat.Push{}, err
	}
	return wechat.Push{URL: s.SignerURL + pushPath, Token: token, EncodingAESKey: aesKey}, nil
}

// mediaCheckConfig gives the signer the secrets of the message push.
func (s *Server) mediaCheckConfig(c *config.MediaCheck, m *manifest.Manifest) error {
	token, aesKey, err := s.pushSecrets(m)
	if err != nil {
		return err
	}
	if err := s.state.write("push-token", []byte(token)); err != nil {
		return err
	}
	c.PushTokenFile, c.PushAESKeyFile = s.state.keys()+"/push-token", ""
	if aesKey == "" {
		return nil
	}
	c.PushAESKeyFile = s.state.keys() + "/push-aes-key"
	return s.state.write("push-aes-key", []byte(aesKey))
}
