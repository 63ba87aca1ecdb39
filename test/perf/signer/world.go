package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/config"
)

const secret = "a benchmark secret of 32 bytes or more"

// world is what a signer needs around it: a config, an STS, a bucket and a callback key.
type world struct {
	cfg    config.Config
	config string // the file that holds cfg
	sts    *httptest.Server
	keys   *callbackKeys
	bucket bucket
}

// prepare builds the world.
func (b *bench) prepare() error {
	w := &world{}
	w.sts = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(rw, `{"Credentials":{"AccessKeyId":"STS.Bench","AccessKeySecret":"secret","SecurityToken":"%s","Expiration":"%s"}}`,
			strings.Repeat("CAISbenchmark", 60), time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	b.stops = append(b.stops, w.sts.Close)
	var err error
	if w.keys, err = newCallbackKeys(); err != nil {
		return err
	}
	b.stops = append(b.stops, w.keys.server.Close)
	oss := httptest.NewServer(&w.bucket)
	b.stops = append(b.stops, oss.Close)
	files := map[string]string{
		"token": "header.payload.signature", "jwt": secret,
		"tickets.json": `{"current":"k1","keys":{"k1":"` + base64.StdEncoding.EncodeToString(make([]byte, 32)) + `"}}`,
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	cfg := config.Config{
		Fixed: config.Fixed{
			Tenant:    "bench/album",
			TenantUID: "bench-uid",
			Bucket:    config.Bucket{Name: "bench-album", Region: "cn-hangzhou", Prefix: "album/", Endpoint: w.keys.server.URL, UploadURL: "https://bench-album.oss-cn-hangzhou.aliyuncs.com"},
			Credentials: config.Credentials{RoleARN: "acs:ram::1:role/bench", OIDCProviderARN: "acs:ram::1:oidc-provider/bench", TokenFile: filepath.Join(b.dir, "token"),
				STSEndpoint: w.sts.URL, SessionDuration: 3600},
			Auth:           config.Auth{JWT: &config.JWT{HS256SecretFile: filepath.Join(b.dir, "jwt"), UserClaim: "sub"}},
			Callback:       config.Callback{URL: "https://upload.example.com/bench/album/callback", KeyURLPrefixes: []string{w.keys.server.URL + "/"}},
			TicketKeysFile: filepath.Join(b.dir, "tickets.json"),
			Index:          config.Index{SQLitePath: filepath.Join(b.dir, "index", "index.db")},
		},
		Live: config.Live{
			Limits:      config.Limits{MinSize: 1, MaxSize: 20 << 20, ContentTypes: []string{"image/jpeg", "image/png", "video/mp4"}, Extensions: []string{"jpg", "jpeg", "png", "mp4"}, FilesPerRequest: 20},
			KeyTemplate: "{prefix}{user}/{yyyy}/{mm}/{dd}/{id}.{ext}",
			Grant:       config.Grant{Signature: "V4", Expiry: 300},
		},
	}
	w.cfg, w.config = cfg, filepath.Join(b.dir, "config.json")
	b.world = w
	return w.use(cfg.Index)
}

// use makes the next signer keep its records in index.
func (w *world) use(index config.Index) error {
	w.cfg.Index = index
	raw, err := json.Marshal(w.cfg)
	if err != nil {
		return err
	}
	return os.WriteFile(w.config, raw, 0o600)
}

// token returns a JWT of one user.
func token() string {
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(fmt.Appendf(nil, `{"sub":"user-1","exp":%d}`, time.Now().Add(time.Hour).Unix()))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}

// grantRequest is a complete HTTP request for n files.
func (w *world) grantRequest(addr string, n int) []byte {
	file := `{"name":"IMG_0001.jpg","size":2345678,"contentType":"image/jpeg","md5":"d8e8fca2dc0f896fd7cb4cb0031ba249","metadata":{"album":"42"}}`
	body := `{"files":[` + file + strings.Repeat(","+file, n-1) + `]}`
	return fmt.Appendf(nil, "POST /v1/uploads HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", addr, token(), len(body), body)
}
