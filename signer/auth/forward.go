package auth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
)

// DefaultUserHeader of the application's answer names the user.
const DefaultUserHeader = "X-User-Id"

const (
	// forwardTimeout of one question; the caller waits for it.
	forwardTimeout = 5 * time.Second
	// forwardSlots are the questions in flight; more are refused at once rather than piled up before an
	// application that is slow already.
	forwardSlots = 128
	// refusedTTL is how long a refusal is remembered, so that a client that repeats a bad token does not
	// reach the application every time.
	refusedTTL = 5 * time.Second
	// maxForwardAnswer of which the user is read.
	maxForwardAnswer = 64 << 10
)

// ForwardConfig names the application's endpoint.
type ForwardConfig struct {
	// URL is asked by GET with the caller's Authorization header.
	URL string
	// Tenant is sent as X-Upload-Tenant, so that one endpoint can serve several.
	Tenant string
	// UserHeader of the answer names the user; DefaultUserHeader when it and UserField are empty.
	UserHeader string
	// UserField is a path of names separated by dots into the answer's JSON, instead of a header.
	UserField string
	// Cache is the longest time that an answer is trusted; the answer's Cache-Control may shorten it.
	Cache time.Duration
	// Client must not follow redirects: they would carry the caller's token elsewhere.
	Client *http.Client
	// Clock defaults to time.Now.
	Clock func() time.Time
}

// Forward asks the application who a caller is. Put a Cache before it.
type Forward struct {
	cfg     ForwardConfig
	slots   chan struct{}
	asked   singleflight.Group
	refused memory[error]
}

// NewForward checks cfg.
func NewForward(cfg ForwardConfig) (*Forward, error) {
	if cfg.URL == "" || cfg.Client == nil {
		return nil, errors.New("forward authentication needs a URL and a client")
	}
	if cfg.UserHeader != "" && cfg.UserField != "" {
		return nil, errors.New("forward authentication reads the user from a header or from a field, not from both")
	}
	if cfg.UserHeader == "" && cfg.UserField == "" {
		cfg.UserHeader = DefaultUserHeader
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	return &Forward{cfg: cfg, slots: make(chan struct{}, forwardSlots)}, nil
}

// Authenticate implements Authenticator.
func (f *Forward) Authenticate(ctx context.Context, token string) (string, error) {
	user, _, err := f.AuthenticateUntil(ctx, token)
	return user, err
}

// verdict is an answer of the application.
type verdict struct {
	user  string
	until time.Time
}

// AuthenticateUntil implements Expirer. Callers with the same token share one question. Errors are
// ErrInvalid (401), ErrForbidden (403), or wrap ErrUnavailable.
func (f *Forward) AuthenticateUntil(ctx context.Context, token string) (string, time.Time, error) {
	sum := sha256.Sum256([]byte(token))
	if err, ok := f.refused.get(sum, f.cfg.Clock()); ok {
		return "", time.Time{}, err
	}
	// The question goes on when the caller who asked first goes away: others may wait for the answer.
	answer := f.asked.DoChan(string(sum[:]), func() (any, error) {
		ask, cancel := context.WithTimeout(context.Background(), forwardTimeout)
		defer cancel()
		v, err := f.ask(ask, token)
		if keep := min(refusedTTL, f.cfg.Cache); keep > 0 && (errors.Is(err, ErrInvalid) || errors.Is(err, ErrForbidden)) {
			f.refused.put(sum, err, f.cfg.Clock().Add(keep))
		}
		return v, err
	})
	select {
	case <-ctx.Done():
		return "", time.Time{}, ctx.Err()
	case result := <-answer:
		if result.Err != nil {
			return "", time.Time{}, result.Err
		}
		v := result.Val.(verdict)
		return v.user, v.until, nil
	}
}

func (f *Forward) ask(ctx context.Context, token string) (verdict, error) {
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	default:
		return verdict{}, fmt.Errorf("%w: too many questions wait for the application", ErrUnavailable)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.cfg.URL, nil)
	if err != nil {
		return verdict{}, fmt.Errorf("%w: auth.forward.url is no URL", ErrUnavailable)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "uploadtenant-signer")
	req.Header.Set("X-Upload-Tenant", f.cfg.Tenant)
	resp, err := f.cfg.Client.Do(req)
	if err != nil {
		return verdict{}, fmt.Errorf("%w: reach the application: %w", ErrUnavailable, withoutURL(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxForwardAnswer)) // to its end, so that the connection can be used again
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return verdict{}, ErrInvalid
	case resp.StatusCode == http.StatusForbidden:
		return verdict{}, ErrForbidden
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return verdict{}, fmt.Errorf("%w: the application answered with status %d", ErrUnavailable, resp.StatusCode)
	case err != nil:
		return verdict{}, fmt.Errorf("%w: read the application's answer: %w", ErrUnavailable, err)
	}
	user := f.user(resp.Header, body)
	if CheckUser(user) != nil {
		return verdict{}, fmt.Errorf("%w: the application's answer names no user in %s", ErrUnavailable, f.place())
	}
	return verdict{user, f.cfg.Clock().Add(freshness(resp.Header.Values("Cache-Control"), f.cfg.Cache))}, nil
}

// user reads the answer; two headers, or none, name nobody.
func (f *Forward) user(header http.Header, body []byte) string {
	if f.cfg.UserField == "" {
		if values := header.Values(f.cfg.UserHeader); len(values) == 1 {
			return values[0]
		}
		return ""
	}
	raw := json.RawMessage(body)
	for name := range strings.SplitSeq(f.cfg.UserField, ".") {
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil {
			return ""
		}
		raw = object[name]
	}
	return userText(raw)
}

func (f *Forward) place() string {
	if f.cfg.UserField != "" {
		return "the field " + f.cfg.UserField
	}
	return "one header " + f.cfg.UserHeader
}

// freshness is how long an answer may be trusted: longest, or less when Cache-Control (RFC 9111) says so.
func freshness(cacheControl []string, longest time.Duration) time.Duration {
	for _, line := range cacheControl {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
			switch name {
			case "no-store", "no-cache":
				return 0
			case "max-age":
				if seconds, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32); err == nil {
					longest = min(longest, time.Duration(max(seconds, 0))*time.Second)
				}
			}
		}
	}
	return longest
}
