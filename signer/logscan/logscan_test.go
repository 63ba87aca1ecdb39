package logscan

import (
	"testing"
)

func TestEverySecretIsFound(t *testing.T) {
	jwt := "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln"
	for name, line := range map[string]string{
		"told": "the AppSecret is hunter22", "from an answer": "ticket=AnUnusualTicket", "jwt": jwt, "bearer": "Authorization: Bearer dev:alice", "session": "uts_0123456789abcdefgh",
		"event secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "signed URL": "https://b.oss/k?x-oss-signature=00", "push": "/v1/wechat/push?signature=0&nonce=1",
		"security token": "x-oss-security-token=CAIS", "access token": "media_check_async?access_token=A", "AppSecret": "jscode2session?appid=wx1&secret=s",
		"dsn": "postgres://user:password@host/db", "key": "-----BEGIN RSA PRIVATE KEY-----",
	} {
		s := &Scan{secrets: map[string]bool{}}
		s.Add("hunter22", "short")
		s.Answer([]byte(`{"uploads":[{"id":"01m","fields":{"key":"album/a"},"ticket":"AnUnusualTicket"}]}`))
		s.Logger().Info("nothing", "user", "short", "key", "album/a", "upload", "01m", "url", "https://b.oss/k")
		if found := s.Found(); found != "" {
			t.Errorf("%s: %s in a harmless log", name, found)
		}
		s.Logger().Debug("something", "error", line)
		if s.Found() == "" {
			t.Errorf("%s: not found in %s", name, s)
		}
	}
}
