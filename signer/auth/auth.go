// Package auth tells which user a request belongs to. It denies by default: an authenticator either names
// a user or returns an error.
package auth

import (
	"context"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Errors of this package. The text never quotes the token.
var (
	// ErrNoToken is a request without "Authorization: Bearer …".
	ErrNoToken = errors.New("the request carries no bearer token")
	// ErrInvalid is a token that is not accepted.
	ErrInvalid = errors.New("the bearer token is not valid")
	// ErrExpired is a token that was valid; the client should get a new one.
	ErrExpired = errors.New("the bearer token has expired")
	// ErrForbidden is a token that is good, of a user who may not upload.
	ErrForbidden = errors.New("the user may not upload")
	// ErrUnavailable means that the token cannot be judged now.
	ErrUnavailable = errors.New("the identity provider cannot be asked")
)

// Outcomes of a judgement, for metrics.
const (
	Accepted    = "accepted"
	Invalid     = "invalid"
	Expired     = "expired"
	Forbidden   = "forbidden"
	Unavailable = "unavailable"
)

// Outcome names what err means. A caller who went away counts as unavailable: nothing was decided.
func Outcome(err error) string {
	switch {
	case err == nil:
		return Accepted
	case errors.Is(err, ErrExpired):
		return Expired
	case errors.Is(err, ErrForbidden):
		return Forbidden
	case errors.Is(err, ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Unavailable
	}
	return Invalid
}

// Authenticator names the user of a bearer token.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (user string, err error)
}

// maxToken bounds the work on a token; HTTP servers bound the header anyway.
const maxToken = 16 << 10

// Only returns the value of a header that must not be sent twice, else "": a proxy in front may have looked
// at the other one.
func Only(values []string) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

// BearerToken returns the token of an Authorization header.
func BearerToken(header string) (string, error) {
	scheme, token, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", ErrNoToken
	}
	token = strings.TrimSpace(token)
	if token == "" || len(token) > maxToken {
		return "", ErrNoToken
	}
	return token, nil
}

// maxUser is the longest user id in bytes.
const maxUser = 256

// CheckUser accepts ids that can be stored, shown and compared without surprise. U+FFFD is refused because it
// is what decoders of JSON make of every byte and surrogate that they cannot read: two users would be one.
func CheckUser(user string) error {
	if user == "" || len(user) > maxUser || !utf8.ValidString(user) {
		return ErrInvalid
	}
	for _, r := range user {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return ErrInvalid
		}
	}
	return nil
}

// devPrefix marks the tokens of development mode.
const devPrefix = "dev:"

// Dev accepts "dev:<user>" and hands every other token to Next. It is for development on one machine only.
type Dev struct {
	// Next may be nil.
	Next Authenticator
}

// Authenticate implements Authenticator.
func (d Dev) Authenticate(ctx context.Context, token string) (string, error) {
	if user, ok := strings.CutPrefix(token, devPrefix); ok {
		return user, CheckUser(user)
	}
	if d.Next == nil {
		return "", ErrInvalid
	}
	return d.Next.Authenticate(ctx, token)
}

// Observed tells Count the outcome of every judgement of Next.
type Observed struct {
	Next  Authenticator
	Count func(outcome string)
}

// Authenticate implements Authenticator.
func (o Observed) Authenticate(ctx context.Context, token string) (string, error) {
	user, err := o.Next.Authenticate(ctx, token)
	o.Count(Outcome(err))
	return user, err
}

// Deny refuses everybody; it stands where nothing is configured.
type Deny struct{}

// Authenticate implements Authenticator.
func (Deny) Authenticate(context.Context, string) (string, error) { return "", ErrInvalid }
