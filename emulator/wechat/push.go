package wechat

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Push is the message receiver of a mini-program: its URL and the token that signs messages to it. Source:
// https://developers.weixin.qq.com/miniprogram/dev/framework/server-ability/message-push.html
type Push struct {
	URL   string `json:"url"`
	Token string `json:"token"`
	// EncodingAESKey, 43 characters, encrypts the messages (the "secure mode").
	EncodingAESKey string `json:"encodingAESKey,omitempty"`
	// XML sends messages as XML instead of JSON.
	XML bool `json:"xml,omitempty"`
}

type verdict struct {
	Strategy string `json:"strategy,omitempty" xml:"strategy,omitempty"`
	ErrCode  int    `json:"errcode" xml:"errcode"`
	Suggest  string `json:"suggest,omitempty" xml:"suggest,omitempty"`
	Label    int    `json:"label,omitempty" xml:"label,omitempty"`
	Prob     int    `json:"prob,omitempty" xml:"prob,omitempty"`
}

type mediaEvent struct {
	XMLName      xml.Name `json:"-" xml:"xml"`
	ToUserName   string
	FromUserName string
	CreateTime   int64
	MsgType      string
	Event        string
	AppID        string    `json:"appid" xml:"appid"`
	TraceID      string    `json:"trace_id" xml:"trace_id"`
	Version      int       `json:"version" xml:"version"`
	Detail       []verdict `json:"detail" xml:"detail"`
	ErrCode      int       `json:"errcode" xml:"errcode"`
	ErrMsg       string    `json:"errmsg" xml:"errmsg"`
	Result       verdict   `json:"result" xml:"result"`
}

type encrypted struct {
	XMLName    xml.Name `json:"-" xml:"xml"`
	ToUserName string
	Encrypt    string
}

// original is the id of the mini-program's account in messages.
const original = "gh_emulator0000"

func (p Push) encode(v any) ([]byte, error) {
	if p.XML {
		return xml.Marshal(v)
	}
	return json.Marshal(v)
}

// message is the body of a push with the query that signs it.
func (s *Service) message(push Push, c Check) ([]byte, url.Values, error) {
	body, err := push.encode(mediaEvent{
		ToUserName: original, FromUserName: c.OpenID, CreateTime: c.Time.Unix(), MsgType: "event",
		Event: "wxa_media_check", AppID: c.AppID, TraceID: c.TraceID, Version: 2,
		Detail:  []verdict{{Strategy: "content_model", ErrCode: c.ErrCode, Suggest: c.Suggest, Label: c.Label, Prob: 90}},
		ErrCode: c.ErrCode, ErrMsg: map[bool]string{true: "ok", false: "download media failed"}[c.ErrCode == 0],
		Result: verdict{Suggest: c.Suggest, Label: c.Label},
	})
	if err != nil {
		return nil, nil, err
	}
	timestamp, nonce := strconv.FormatInt(s.opts.Clock().Unix(), 10), s.randomText(10)
	query := url.Values{"timestamp": {timestamp}, "nonce": {nonce}, "signature": {Signature(push.Token, timestamp, nonce)}, "openid": {c.OpenID}}
	if push.EncodingAESKey == "" {
		return body, query, nil
	}
	sealed, err := s.encrypt(push.EncodingAESKey, c.AppID, body)
	if err != nil {
		return nil, nil, err
	}
	query.Set("encrypt_type", "aes")
	query.Set("msg_signature", Signature(push.Token, timestamp, nonce, sealed))
	body, err = push.encode(encrypted{ToUserName: original, Encrypt: sealed})
	return body, query, err
}

// encrypt is AES-256-CBC over 16 random bytes, the length, the message and the appid, padded to 32 bytes. The vector is
// the beginning of the key.
func (s *Service) encrypt(encodingKey, appID string, message []byte) (string, error) {
	key, err := base64.StdEncoding.DecodeString(encodingKey + "=")
	if err != nil || len(key) != 32 {
		return "", errors.New("the EncodingAESKey must have 43 characters of base64")
	}
	plain := []byte(s.randomText(16))
	plain = binary.BigEndian.AppendUint32(plain, uint32(len(message)))
	plain = append(append(plain, message...), appID...)
	padding := 32 - len(plain)%32
	for range padding {
		plain = append(plain, byte(padding))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return "", err
	}
	cipher.NewCBCEncrypter(block, key[:16]).CryptBlocks(plain, plain)
	return base64.StdEncoding.EncodeToString(plain), nil
}

// Signature is how WeChat signs a push: the hex SHA-1 of its parts, which are the token, the timestamp, the nonce and,
// for an encrypted message, its text, sorted and joined.
func Signature(parts ...string) string {
	parts = slices.Clone(parts)
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}
