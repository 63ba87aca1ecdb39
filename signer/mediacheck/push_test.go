package mediacheck

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/uploadtenant/uploadtenant/emulator/wechat"
)

const (
	testToken  = "the push token"
	testAESKey = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
)

var testNow = time.Unix(1_800_000_000, 0)

// messageJSON and messageXML are pushes as WeChat sends them.
const messageJSON = `{"ToUserName":"gh_9df7d78a1234","FromUserName":"o4_t144jTUSEoxydysUA2E234_tc","CreateTime":1626959646,"MsgType":"event","Event":"wxa_media_check",
	"appid":"wx1","trace_id":"60f96f1d-3845297a-1976a3ae","version":2,"detail":[{"strategy":"content_model","errcode":0,"suggest":"risky","label":20006,"prob":90}],
	"errcode":0,"errmsg":"ok","result":{"suggest":"risky","label":20006}}`

const messageXML = `<xml><ToUserName><![CDATA[gh_6e3]]></ToUserName><FromUserName><![CDATA[oeaTy]]></FromUserName><CreateTime>1659967849</CreateTime>
	<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[wxa_media_check]]></Event><appid><![CDATA[wx1]]></appid><trace_id><![CDATA[62f11967-2b24d27a-34715985]]></trace_id>
	<version>2</version><detail><strategy><![CDATA[content_model]]></strategy><errcode>0</errcode><suggest><![CDATA[pass]]></suggest><label>100</label><prob>90</prob></detail>
	<errcode>0</errcode><errmsg><![CDATA[ok]]></errmsg><result><suggest><![CDATA[pass]]></suggest><label>100</label></result></xml>`

func signedQuery(at time.Time) url.Values {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	return url.Values{"timestamp": {timestamp}, "nonce": {"n1"}, "signature": {wechat.Signature(testToken, timestamp, "n1")}}
}

// seal encrypts like WeChat; change may spoil the plain text before it is padded.
func seal(t testing.TB, message, appID string, change func([]byte) []byte) (query url.Values, text string) {
	t.Helper()
	key, err := ParseAESKey(testAESKey)
	if err != nil {
		t.Fatal(err)
	}
	plain := append(binary.BigEndian.AppendUint32([]byte("sixteen random b"), uint32(len(message))), message+appID...)
	if change != nil {
		plain = change(plain)
	}
	padding := 32 - len(plain)%32
	plain = append(plain, bytes.Repeat([]byte{byte(padding)}, padding)...)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	cipher.NewCBCEncrypter(block, key[:16]).CryptBlocks(plain, plain)
	text = base64.StdEncoding.EncodeToString(plain)
	query = signedQuery(testNow)
	query.Set("encrypt_type", "aes")
	query.Set("msg_signature", wechat.Signature(testToken, query.Get("timestamp"), "n1", text))
	return query, text
}

func TestMessagesInTheClear(t *testing.T) {
	edit := func(old, replacement string) string { return strings.Replace(messageJSON, old, replacement, 1) }
	tests := map[string]struct {
		query   url.Values
		body    string
		want    *Verdict
		wantErr error
	}{
		"json":               {signedQuery(testNow), messageJSON, &Verdict{"60f96f1d-3845297a-1976a3ae", Risky, 20006, 0}, nil},
		"xml":                {signedQuery(testNow), messageXML, &Verdict{"62f11967-2b24d27a-34715985", Pass, 100, 0}, nil},
		"nine minutes late":  {signedQuery(testNow.Add(-9 * time.Minute)), messageXML, &Verdict{"62f11967-2b24d27a-34715985", Pass, 100, 0}, nil},
		"failed":             {signedQuery(testNow), edit(`"errcode":0,"errmsg":"ok","result":{"suggest":"risky","label":20006}`, `"errcode":-1010,"result":{}`), &Verdict{"60f96f1d-3845297a-1976a3ae", Failed, 0, -1010}, nil},
		"a new word":         {signedQuery(testNow), edit(`"result":{"suggest":"risky"`, `"result":{"suggest":"maybe"`), &Verdict{"60f96f1d-3845297a-1976a3ae", Failed, 20006, 0}, nil},
		"about another":      {signedQuery(testNow), `{"MsgType":"event","Event":"debug_demo","debug_str":"hello"}`, nil, nil},
		"a text":             {signedQuery(testNow), `<xml><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[hi]]></Content></xml>`, nil, nil},
		"another app":        {signedQuery(testNow), edit(`"wx1"`, `"wx2"`), nil, ErrForged},
		"no trace":           {signedQuery(testNow), edit(`60f96f1d-3845297a-1976a3ae`, ``), nil, ErrMalformed},
		"a trace of strings": {signedQuery(testNow), edit(`60f96f1d-3845297a-1976a3ae`, `' OR 1=1`), nil, ErrMalformed},
		"not json":           {signedQuery(testNow), `hello`, nil, ErrMalformed},
		"empty":              {signedQuery(testNow), ``, nil, ErrMalformed},
		"broken xml":         {signedQuery(testNow), `<xml><MsgType>`, nil, ErrMalformed},
		"too late":           {signedQuery(testNow.Add(-11 * time.Minute)), messageJSON, nil, ErrForged},
		"too early":          {signedQuery(testNow.Add(11 * time.Minute)), messageJSON, nil, ErrForged},
		"no signature":       {url.Values{"timestamp": {"1800000000"}, "nonce": {"n1"}}, messageJSON, nil, ErrForged},
		"another token":      {url.Values{"timestamp": {"1800000000"}, "nonce": {"n1"}, "signature": {wechat.Signature("guess", "1800000000", "n1")}}, messageJSON, nil, ErrForged},
		"another nonce":      {url.Values{"timestamp": {"1800000000"}, "nonce": {"n2"}, "signature": {wechat.Signature(testToken, "1800000000", "n1")}}, messageJSON, nil, ErrForged},
		"nothing":            {url.Values{}, messageJSON, nil, ErrForged},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := (&Receiver{Token: testToken, AppID: "wx1"}).Open(tc.query, []byte(tc.body), testNow)
			if diff := cmp.Diff(tc.want, got); diff != "" || !errors.Is(err, tc.wantErr) {
				t.Errorf("%v, want %v (-want +got):\n%s", err, tc.wantErr, diff)
			}
		})
	}
	// Without a token nobody is believed, also not who signs with none.
	if _, err := (&Receiver{AppID: "wx1"}).Open(url.Values{"timestamp": {"1800000000"}, "nonce": {"n1"}, "signature": {wechat.Signature("", "1800000000", "n1")}}, []byte(messageJSON), testNow); !errors.Is(err, ErrForged) {
		t.Errorf("an empty token: %v", err)
	}
}

func TestEncryptedMessages(t *testing.T) {
	key, err := ParseAESKey(testAESKey)
	if err != nil {
		t.Fatal(err)
	}
	r := &Receiver{Token: testToken, AESKey: key, AppID: "wx1"}
	query, text := seal(t, messageJSON, "wx1", nil)
	want := &Verdict{"60f96f1d-3845297a-1976a3ae", Risky, 20006, 0}
	for form, body := range map[string]string{"json": `{"ToUserName":"gh","Encrypt":"` + text + `"}`, "xml": `<xml><ToUserName><![CDATA[gh]]></ToUserName><Encrypt><![CDATA[` + text + `]]></Encrypt></xml>`,
		"both at once": strings.TrimSuffix(messageJSON, "}") + `,"Encrypt":"` + text + `"}`} {
		got, err := r.Open(query, []byte(body), testNow)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", form, err, diff)
		}
	}
	refused := map[string]struct {
		query url.Values
		body  string
		want  error
	}{
		"in the clear":    {signedQuery(testNow), messageJSON, ErrClear},
		"only said so":    {func() url.Values { q := signedQuery(testNow); q.Set("encrypt_type", "aes"); return q }(), messageJSON, ErrClear},
		"another message": {query, `{"Encrypt":"` + strings.Replace(text, text[:4], "AAAA", 1) + `"}`, ErrForged},
	}
	for name, change := range map[string]func([]byte) []byte{
		"a long length": func(p []byte) []byte { p[16] = 0xff; return p },
		"too short":     func([]byte) []byte { return nil },
	} {
		q, bad := seal(t, messageJSON, "wx1", change)
		refused[name] = struct {
			query url.Values
			body  string
			want  error
		}{q, `{"Encrypt":"` + bad + `"}`, ErrMalformed}
	}
	q, foreign := seal(t, messageJSON, "wx2", nil)
	refused["another app"] = struct {
		query url.Values
		body  string
		want  error
	}{q, `{"Encrypt":"` + foreign + `"}`, ErrForged}
	for name, tc := range refused {
		if got, err := r.Open(tc.query, []byte(tc.body), testNow); got != nil || !errors.Is(err, tc.want) {
			t.Errorf("%s: %+v, %v, want %v", name, got, err, tc.want)
		}
	}
	for _, bad := range []string{"", "short", testAESKey + "=", strings.Repeat("!", 43)} {
		if _, err := ParseAESKey(bad); err == nil {
			t.Errorf("%q is taken for an EncodingAESKey", bad)
		}
	}
}

func TestAGreetingIsAnsweredWhenItIsSigned(t *testing.T) {
	r := &Receiver{Token: testToken, AppID: "wx1"}
	query := signedQuery(testNow)
	query.Set("echostr", "5837401")
	if got, err := r.Greeting(query, testNow); got != "5837401" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	query.Set("signature", "0"+query.Get("signature")[1:])
	if got, err := r.Greeting(query, testNow); got != "" || !errors.Is(err, ErrForged) {
		t.Errorf("%q, %v", got, err)
	}
}

// Whatever comes with a good signature, reading it neither panics nor makes a verdict without a trace id.
func FuzzOpen(f *testing.F) {
	key, _ := ParseAESKey(testAESKey)
	query, text := seal(f, messageJSON, "wx1", nil)
	f.Add([]byte(messageJSON), false)
	f.Add([]byte(messageXML), false)
	f.Add([]byte(text), true)
	f.Fuzz(func(t *testing.T, body []byte, sealed bool) {
		r, q := &Receiver{Token: testToken, AppID: "wx1"}, signedQuery(testNow)
		if sealed {
			r.AESKey = key
			q.Set("encrypt_type", "aes")
			q.Set("msg_signature", wechat.Signature(testToken, q.Get("timestamp"), "n1", string(body)))
			body = []byte(`{"Encrypt":"` + string(body) + `"}`)
			if _, err := r.Open(query, body, testNow); err == nil && !strings.Contains(string(body), text) {
				t.Error("a message opens under the signature of another")
			}
		}
		v, err := r.Open(q, body, testNow)
		if v != nil && (err != nil || !validTrace(v.TraceID)) {
			t.Errorf("%+v, %v", v, err)
		}
	})
}
