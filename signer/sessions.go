package signer

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/auth"
	"github.com/uploadtenant/uploadtenant/signer/problem"
)

// SessionRequest trades a code of wx.login for a session.
type SessionRequest struct {
	Code string `json:"code" doc:"the code of wx.login; good for one use within five minutes"`
}

// SessionResponse is a session of the signer.
type SessionResponse struct {
	Token     string `json:"token" doc:"send it as Authorization: Bearer <token>; it is opaque"`
	ExpiresIn int64  `json:"expiresIn" doc:"seconds until it has to be replaced by another login"`
}

// wechatLogin is what a tenant with auth.wechat has.
type wechatLogin struct {
	client   *auth.WeChat
	sessions *auth.Sessions
	attempts *auth.Attempts
}

// handleWeChat is POST /v1/sessions/wechat.
func (s *Server) handleWeChat(c *call) error {
	if s.wechat == nil {
		return problem.New(http.StatusNotFound, "wechat_not_configured", "this tenant has no WeChat login: set auth.wechat in its UploadTenant, or use the token that it asks for")
	}
	var req SessionRequest
	if err := c.decode(maxSmallBody, &req); err != nil {
		return err
	}
	answer, err := s.logIn(c, req.Code)
	if err == nil {
		s.metrics.Auth.Login(auth.Accepted)
		return c.json(answer)
	}
	var p *problem.Problem
	if errors.As(err, &p) {
		s.metrics.Auth.Login(p.Code)
	}
	return err
}

// logIn trades a code for a session, unless too many logins from the same address have failed.
func (s *Server) logIn(c *call, code string) (SessionResponse, error) {
	if code == "" {
		return SessionResponse{}, problem.New(http.StatusBadRequest, "wechat_code_missing", `send {"code":"<the code of wx.login>"}`)
	}
	address := auth.Address(c.r)
	if wait, ok := s.wechat.attempts.Take(address); !ok {
		c.w.Header().Set("Retry-After", seconds(wait))
		return SessionResponse{}, problem.New(http.StatusTooManyRequests, "too_many_failed_logins", "too many logins from your address have failed; wait as long as Retry-After says")
	}
	user, err := s.wechat.client.Login(c.r.Context(), code)
	if err != nil {
		refusal := weChatRefusal(err)
		if !refusal.callersFault {
			s.wechat.attempts.Return(address)
		}
		if refusal.retryAfter > 0 {
			c.w.Header().Set("Retry-After", seconds(refusal.retryAfter))
		}
		log := s.log.Info
		if refusal.operatorsFault && c.r.Context().Err() == nil { // unless the caller went away
			log = s.log.Error
		}
		log("wechat login refused", "requestID", c.requestID, "problem", refusal.code, "error", err)
		return SessionResponse{}, problem.New(refusal.status, refusal.code, refusal.detail)
	}
	s.wechat.attempts.Return(address)
	token, duration, err := s.wechat.sessions.Issue(user)
	if err != nil {
		return SessionResponse{}, fmt.Errorf("issue a session: %w", err)
	}
	return SessionResponse{Token: token, ExpiresIn: int64(duration / time.Second)}, nil
}

// seconds is a Retry-After that is never too short.
func seconds(d time.Duration) string {
	return strconv.FormatInt(max(int64((d+time.Second-1)/time.Second), 1), 10)
}

// refusal is a login that failed, as the client sees it.
type refusal struct {
	status       int
	code, detail string
	retryAfter   time.Duration
	// callersFault counts against the address; operatorsFault is logged as an error.
	callersFault, operatorsFault bool
}

// weChatRefusals by errcode.
var weChatRefusals = map[int]refusal{
	auth.WeChatInvalidCode: {status: http.StatusUnauthorized, code: "wechat_code_invalid", detail: "WeChat does not know the code, or it is older than five minutes; call wx.login again", callersFault: true},
	auth.WeChatNoCode:      {status: http.StatusUnauthorized, code: "wechat_code_invalid", detail: "WeChat does not know the code; call wx.login again", callersFault: true},
	auth.WeChatUsedCode:    {status: http.StatusUnauthorized, code: "wechat_code_used", detail: "the code was used before; call wx.login again, each code is good for one login", callersFault: true},
	auth.WeChatRiskyUser:   {status: http.StatusForbidden, code: "wechat_user_blocked", detail: "WeChat refuses this user as a high risk", callersFault: true},
	auth.WeChatTooOften:    {status: http.StatusTooManyRequests, code: "wechat_rate_limited", detail: "WeChat refuses because of too many logins of this user; wait a minute", retryAfter: time.Minute},
	auth.WeChatQuota:       {status: http.StatusServiceUnavailable, code: "wechat_quota_exceeded", detail: "the mini-program has used up its daily quota of logins at WeChat", retryAfter: time.Hour, operatorsFault: true},
	auth.WeChatBusy:        {status: http.StatusServiceUnavailable, code: "wechat_busy", detail: "WeChat is busy; try again with a new code of wx.login", retryAfter: 2 * time.Second},
	auth.WeChatBadAppID:    misconfigured("WeChat does not know the appID: check auth.wechat.appID of the UploadTenant"),
	auth.WeChatBadSecret:   misconfigured("WeChat refuses the AppSecret: put the current one into the Secret of auth.wechat.secretRef"),
	auth.WeChatBadAddress:  misconfigured("WeChat refuses this server's address: add it to the mini-program's list of server addresses"),
}

func misconfigured(detail string) refusal {
	return refusal{status: http.StatusServiceUnavailable, code: "wechat_misconfigured", detail: detail, retryAfter: time.Minute, operatorsFault: true}
}

// weChatRefusal says what an error of Login means.
func weChatRefusal(err error) refusal {
	var answered *auth.WeChatError
	switch {
	case errors.As(err, &answered):
		if r, ok := weChatRefusals[answered.Code]; ok {
			return r
		}
		return refusal{status: http.StatusServiceUnavailable, code: "wechat_failed", detail: fmt.Sprintf("WeChat refuses logins with errcode %d; try again later", answered.Code),
			retryAfter: 10 * time.Second, operatorsFault: true}
	case errors.Is(err, auth.ErrNoUnionID):
		return refusal{status: http.StatusForbidden, code: "wechat_no_unionid", detail: "WeChat names no unionid for this user: bind the mini-program to a WeChat Open Platform account, or set auth.wechat.userFrom to OpenID", operatorsFault: true}
	case errors.Is(err, auth.ErrInvalid):
		return refusal{status: http.StatusUnauthorized, code: "wechat_code_invalid", detail: "this is no code of wx.login; call wx.login again", callersFault: true}
	}
	return refusal{status: http.StatusServiceUnavailable, code: "auth_unavailable", detail: "WeChat cannot be reached; try again with a new code of wx.login", retryAfter: 2 * time.Second, operatorsFault: true}
}
