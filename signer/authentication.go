package signer

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/auth"
	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/signer/guard"
	"github.com/uploadtenant/uploadtenant/signer/secretfile"
	"github.com/uploadtenant/uploadtenant/signer/ticket"
)

// authTimeout bounds a question to an identity provider; a person waits for the answer.
const authTimeout = 5 * time.Second

// defaultForwardCache is how long an answer of the application is trusted.
const defaultForwardCache = 30 * time.Second

// authenticator builds what Config asks for; without anything, everybody is refused.
func (s *Server) authenticator(opts Options) (auth.Authenticator, error) {
	a, err := s.ownTokens(opts)
	if err != nil {
		return nil, err
	}
	if c := s.cfg.Auth.WeChat; c != nil {
		sessions, err := s.wechatSessions(c, opts)
		if err != nil {
			return nil, err
		}
		a = auth.Split{Sessions: s.observed("session", sessions), Next: a}
	}
	if opts.DevUsers {
		a = auth.Dev{Next: a}
	}
	return a, nil
}

// ownTokens judges the tokens that the application gives its users.
func (s *Server) ownTokens(opts Options) (auth.Authenticator, error) {
	switch c := s.cfg.Auth; {
	case c.JWT != nil:
		verifier, err := s.jwt(c.JWT, opts)
		if err != nil {
			return nil, err
		}
		return s.observed("jwt", auth.NewCache(verifier, auth.CacheTTL, s.clock)), nil
	case c.Forward != nil:
		forward, cache, err := s.forward(c.Forward, opts)
		if err != nil {
			return nil, err
		}
		return s.observed("forward", auth.NewCache(forward, cache, s.clock)), nil
	}
	return auth.Deny{}, nil
}

// observed counts the outcomes of a method.
func (s *Server) observed(method string, a auth.Authenticator) auth.Authenticator {
	return auth.Observed{Next: a, Count: s.metrics.Auth.Method(method, auth.Accepted, auth.Invalid, auth.Expired, auth.Forbidden, auth.Unavailable)}
}

func (s *Server) jwt(c *config.JWT, opts Options) (auth.Authenticator, error) {
	jwt := auth.JWTConfig{Issuer: c.Issuer, Audience: c.Audience, UserClaim: c.UserClaim, RequiredClaims: c.RequiredClaims, Clock: s.clock}
	if c.HS256SecretFile == "" {
		jwt.JWKS = auth.NewJWKS(c.JWKSURL, guardedClient(opts, guard.Private, authTimeout), s.clock)
		return auth.NewJWT(jwt)
	}
	file, err := secretfile.Open(c.HS256SecretFile, func(raw []byte) (*auth.JWT, error) {
		rotated := jwt
		rotated.Secret = bytes.TrimRight(raw, "\r\n")
		return auth.NewJWT(rotated)
	}, s.clock, s.log)
	if err != nil {
		return nil, fmt.Errorf("read the HS256 secret: %w", err)
	}
	return followed{file}, nil
}

// followed judges tokens by the secret that its file holds now.
type followed struct{ file *secretfile.File[*auth.JWT] }

// Authenticate implements auth.Authenticator.
func (f followed) Authenticate(ctx context.Context, token string) (string, error) {
	return f.file.Get().Authenticate(ctx, token)
}

// AuthenticateUntil implements auth.Expirer: the cache must not outlive a token.
func (f followed) AuthenticateUntil(ctx context.Context, token string) (string, time.Time, error) {
	return f.file.Get().AuthenticateUntil(ctx, token)
}

func (s *Server) forward(c *config.Forward, opts Options) (*auth.Forward, time.Duration, error) {
	cache := defaultForwardCache
	if c.CacheSeconds != nil {
		cache = time.Duration(*c.CacheSeconds) * time.Second
	}
	forward, err := auth.NewForward(auth.ForwardConfig{URL: c.URL, Tenant: s.cfg.Tenant, UserHeader: c.UserHeader, UserField: c.UserField,
		Cache: cache, Client: s.timed("forward", guardedClient(opts, guard.Private, authTimeout)), Clock: s.clock})
	return forward, cache, err
}

// wechatSessions prepares the login and returns what accepts its tokens.
func (s *Server) wechatSessions(c *config.WeChat, opts Options) (*auth.Sessions, error) {
	keys, err := ticket.LoadKeys(s.cfg.TicketKeysFile)
	if err != nil {
		return nil, err
	}
	if _, err := readSecret(c.SecretFile); err != nil {
		return nil, fmt.Errorf("read the AppSecret: %w", err)
	}
	duration := time.Duration(c.SessionDuration) * time.Second
	if duration == 0 {
		duration = 2 * time.Hour
	}
	userFrom := c.UserFrom
	if userFrom == "" {
		userFrom = config.UserFromOpenID
	}
	// Another mini-program, or another choice of user, has other users: its sessions end.
	sessions, err := auth.NewSessions(auth.SessionConfig{Keys: keys.Keys, Current: keys.Current, Tenant: s.cfg.Tenant,
		Realm: "wechat/" + c.AppID + "/" + userFrom, Duration: duration, Clock: s.clock})
	if err != nil {
		return nil, err
	}
	client, err := auth.NewWeChat(auth.WeChatConfig{Endpoint: c.BaseURL, AppID: c.AppID, UnionID: userFrom == config.UserFromUnionID,
		Secret: func() (string, error) { return readSecret(c.SecretFile) },
		Client: s.timed("wechat", guardedClient(opts, guard.Private, authTimeout))})
	if err != nil {
		return nil, err
	}
	perMinute := c.FailedLoginsPerMinute
	if perMinute == 0 {
		perMinute = 60
	}
	s.wechat = &wechatLogin{client: client, sessions: sessions, attempts: auth.NewAttempts(perMinute, s.clock)}
	return sessions, nil
}

// readSecret returns the text of a mounted Secret without the white space that editors leave.
func readSecret(file string) (string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(raw))
	if text == "" {
		return "", fmt.Errorf("the file %s is empty", file)
	}
	return text, nil
}

// timed measures the requests of a client.
func (s *Server) timed(method string, client *http.Client) *http.Client {
	client.Transport = timedTransport{client.Transport, func(took time.Duration) { s.metrics.Auth.Upstream(method, took) }, s.clock}
	return client
}

type timedTransport struct {
	http.RoundTripper
	observe func(time.Duration)
	clock   func() time.Time
}

// RoundTrip implements http.RoundTripper.
func (t timedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	start := t.clock()
	resp, err := t.RoundTripper.RoundTrip(r)
	t.observe(t.clock().Sub(start))
	return resp, err
}
