package sts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// File is a Source that reads sessions which somebody else keeps fresh, from a JSON file with accessKeyId,
// accessKeySecret, securityToken and expiration (RFC 3339).
type File string

// AssumeRole reads the file. Its errors never hold what is in it.
func (f File) AssumeRole(context.Context) (Credential, error) {
	raw, err := os.ReadFile(string(f))
	if err != nil {
		return Credential{}, fmt.Errorf("read the session file: %w", err)
	}
	return ParseSession(raw)
}

// session is the content of the file.
type session struct {
	AccessKeyID     string    `json:"accessKeyId"`
	AccessKeySecret string    `json:"accessKeySecret"`
	SecurityToken   string    `json:"securityToken"`
	Expiration      time.Time `json:"expiration"`
}

// ParseSession reads the content of a session file.
func ParseSession(raw []byte) (Credential, error) {
	var s session
	if err := json.Unmarshal(raw, &s); err != nil {
		return Credential{}, errors.New("the session file is not the JSON that the manager writes")
	}
	if s.AccessKeyID == "" || s.AccessKeySecret == "" || s.SecurityToken == "" || s.Expiration.IsZero() {
		return Credential{}, errors.New("the session file lacks accessKeyId, accessKeySecret, securityToken or expiration")
	}
	return Credential{AccessKeyID: s.AccessKeyID, AccessKeySecret: s.AccessKeySecret, SecurityToken: s.SecurityToken, Expires: s.Expiration}, nil
}

// MarshalSession writes the content of a session file.
func MarshalSession(c Credential) ([]byte, error) {
	return json.Marshal(session{c.AccessKeyID, c.AccessKeySecret, c.SecurityToken, c.Expires.UTC()})
}
