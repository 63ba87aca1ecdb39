package mediacheck

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"crypto/subtle"
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
	"time"
)

// Errors of Open.
var (
	// ErrForged is a message that was not signed with the token, or too long ago.
	ErrForged = errors.New("the message is not signed by WeChat for this mini-program, or it is too old")
	// ErrClear is a message in the clear although there is an EncodingAESKey.
	ErrClear = errors.New("the message is not encrypted")
	// ErrMalformed is a signed message that cannot be read.
	ErrMalformed = errors.New("the message cannot be read")
)

// freshness is how old or early a message may be. WeChat sends one up to three times within seconds; the
// application may pass it on.
const freshness = 10 * time.Minute

// Receiver knows what proves that a message comes from WeChat.
type Receiver struct {
	// Token of the mini-program's message push.
	Token string
	// AESKey of 32 bytes decrypts messages; with it, messages in the clear are refused. Nil takes only those.
	AESKey []byte
	AppID  string
}

// ParseAESKey reads an EncodingAESKey: 43 characters, which are 32 bytes in base64 without its padding.
func ParseAESKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(text + "=")
	if len(text) != 43 || err != nil || len(key) != 32 {
		return nil, errors.New("an EncodingAESKey must have 43 characters of base64")
	}
	return key, nil
}

// Verdicts of WeChat.
const (
	Pass   = "pass"
	Review = "review"
	Risky  = "risky"
	// Failed is a check that WeChat could not make, for example because it could not fetch the media.
	Failed = "failed"
)

// Verdict is the outcome of one check.
type Verdict struct {
	TraceID string
	// Outcome is Pass, Review, Risky or Failed.
	Outcome string
	// Label says what WeChat saw, 100 for nothing; Code is why it failed.
	Label, Code int
}

// Greeting answers the question with which WeChat proves an address when it is entered: the text to
// answer with, when the question is signed.
func (r *Receiver) Greeting(query url.Values, now time.Time) (string, error) {
	if !r.signed(query, "signature", "", now) {
		return "", ErrForged
	}
	return query.Get("echostr"), nil
}

// Open checks and reads a message. A verdict is nil for messages that are about something else.
//
// In the clear, the signature covers the time and a nonce but not the message: whoever has seen one could
// send another message for ten minutes. They would have to guess a trace id. With an EncodingAESKey the
// signature covers the message.
func (r *Receiver) Open(query url.Values, body []byte, now time.Time) (*Verdict, error) {
	message := body
	if r.AESKey == nil {
		if !r.signed(query, "signature", "", now) {
			return nil, ErrForged
		}
	} else {
		if query.Get("encrypt_type") != "aes" {
			return nil, ErrClear
		}
		var sealed struct{ Encrypt string }
		if decode(body, &sealed) != nil || sealed.Encrypt == "" {
			return nil, ErrClear
		}
		if !r.signed(query, "msg_signature", sealed.Encrypt, now) {
			return nil, ErrForged
		}
		var err error
		if message, err = r.decrypt(sealed.Encrypt); err != nil {
			return nil, err
		}
	}
	return r.read(message)
}

// signed checks the signature of a name in query over token, timestamp, nonce and text.
func (r *Receiver) signed(query url.Values, name, text string, now time.Time) bool {
	seconds, err := strconv.ParseInt(query.Get("timestamp"), 10, 64)
	if err != nil || r.Token == "" {
		return false
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > freshness || age < -freshness {
		return false
	}
	parts := []string{r.Token, query.Get("timestamp"), query.Get("nonce")}
	if text != "" {
		parts = append(parts, text)
	}
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, ""))) // WeChat's choice
	return subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(query.Get(name))) == 1
}

// decrypt opens AES-256-CBC with the beginning of the key as vector: 16 random bytes, the length of the
// message, the message, the appid, and PKCS #7 padding to 32 bytes. The signature was checked before, so a
// wrong padding tells nobody anything.
func (r *Receiver) decrypt(text string) ([]byte, error) {
	sealed, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
		return nil, ErrMalformed
	}
	block, err := aes.NewCipher(r.AESKey)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, r.AESKey[:aes.BlockSize]).CryptBlocks(plain, sealed)
	padding := int(plain[len(plain)-1])
	const head = 16 + 4
	if padding < 1 || padding > 32 || padding > len(plain)-head {
		return nil, ErrMalformed
	}
	plain = plain[:len(plain)-padding]
	size := binary.BigEndian.Uint32(plain[16:head])
	if uint64(size) > uint64(len(plain)-head) {
		return nil, ErrMalformed
	}
	message, appID := plain[head:head+int(size)], plain[head+int(size):]
	if string(appID) != r.AppID {
		return nil, ErrForged
	}
	return message, nil
}

// event is what a push of mediaCheckAsync holds, in JSON or in XML as the mini-program's settings say.
type event struct {
	MsgType string
	Event   string
	AppID   string `json:"appid" xml:"appid"`
	TraceID string `json:"trace_id" xml:"trace_id"`
	ErrCode int    `json:"errcode" xml:"errcode"`
	Result  struct {
		Suggest string `json:"suggest" xml:"suggest"`
		Label   int    `json:"label" xml:"label"`
	} `json:"result" xml:"result"`
}

func decode(body []byte, into any) error {
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && trimmed[0] == '<' {
		return xml.Unmarshal(trimmed, into)
	}
	return json.Unmarshal(body, into)
}

// kind is the part that every message has.
type kind struct{ MsgType, Event string }

func (r *Receiver) read(message []byte) (*Verdict, error) {
	var k kind
	if decode(message, &k) != nil {
		return nil, ErrMalformed
	}
	if !strings.EqualFold(k.MsgType, "event") || k.Event != "wxa_media_check" {
		return nil, nil
	}
	var e event
	if decode(message, &e) != nil || !validTrace(e.TraceID) {
		return nil, ErrMalformed
	}
	if e.AppID != r.AppID {
		return nil, ErrForged
	}
	v := &Verdict{TraceID: e.TraceID, Outcome: Failed, Label: e.Result.Label, Code: e.ErrCode}
	if s := e.Result.Suggest; e.ErrCode == 0 && (s == Pass || s == Review || s == Risky) {
		v.Outcome = s
	}
	return v, nil
}
