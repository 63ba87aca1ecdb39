package wechat

import (
	"encoding/json"
	"io"
	"net/http"
	"time"
)

type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"`
}

// token is getAccessToken: every call makes a new token, and the one before works for five minutes more.
func (s *Service) token(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("grant_type") != "client_credential" {
		s.fail(w, codeInvalidGrant, "invalid grant_type")
		return
	}
	if code, message := s.checkApp(q.Get("appid"), q.Get("secret")); code != 0 {
		s.fail(w, code, message)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	answer(w, s.issueToken(q.Get("appid"), s.latest))
}

// stableToken is getStableAccessToken: the same token until it is about to expire, or until force_refresh.
func (s *Service) stableToken(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		s.fail(w, codeRequiresPOST, "require POST method")
		return
	}
	var in struct {
		GrantType    string `json:"grant_type"`
		AppID        string `json:"appid"`
		Secret       string `json:"secret"`
		ForceRefresh bool   `json:"force_refresh"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, maxRequestBody)).Decode(&in); err != nil {
		s.fail(w, codeInvalidParameter, "data format error")
		return
	}
	if in.GrantType != "client_credential" {
		s.fail(w, codeInvalidGrant, "invalid grant_type")
		return
	}
	if code, message := s.checkApp(in.AppID, in.Secret); code != 0 {
		s.fail(w, code, message)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opts.Clock()
	if t := s.tokens[s.stable[in.AppID]]; t != nil && !in.ForceRefresh && t.expires.Sub(now) > tokenOverlap {
		answer(w, tokenAnswer{s.stable[in.AppID], int(t.expires.Sub(now) / time.Second)})
		return
	}
	answer(w, s.issueToken(in.AppID, s.stable))
}

// issueToken makes a token and shortens the life of the one it replaces in current. s.mu must be held.
func (s *Service) issueToken(appID string, current map[string]string) tokenAnswer {
	now := s.opts.Clock()
	for name, t := range s.tokens {
		if now.Sub(t.expires) > tokenLife {
			delete(s.tokens, name)
		}
	}
	if old := s.tokens[current[appID]]; old != nil && old.expires.After(now.Add(tokenOverlap)) {
		old.expires = now.Add(tokenOverlap)
	}
	name := s.randomText(128)
	s.tokens[name] = &accessToken{appID: appID, expires: now.Add(tokenLife)}
	current[appID] = name
	return tokenAnswer{name, int(tokenLife / time.Second)}
}

// appOf returns the app that a token belongs to, or the errcode.
func (s *Service) appOf(token string) (appID string, code int, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[token]
	switch {
	case token == "":
		return "", codeMissingToken, "access_token missing"
	case t == nil:
		return "", codeInvalidToken, "invalid credential, access_token is invalid or not latest"
	case !s.opts.Clock().Before(t.expires):
		return "", codeExpiredToken, "access_token expired"
	}
	return t.appID, 0, ""
}
