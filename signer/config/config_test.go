package config

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func good() Config {
	return Config{
		Fixed: Fixed{
			Tenant:         "a/b",
			TenantUID:      "u",
			Bucket:         Bucket{Name: "b", Region: "r", Prefix: "p/", Endpoint: "https://oss.example", UploadURL: "https://b.oss.example"},
			Callback:       Callback{URL: "https://x/cb", KeyURLPrefixes: []string{"https://k/"}},
			TicketKeysFile: "f",
			Index:          Index{SQLitePath: "p"},
		},
		Live: Live{
			Limits:      Limits{MinSize: 1, MaxSize: 2, ContentTypes: []string{"image/*"}, FilesPerRequest: 1},
			KeyTemplate: "{prefix}{id}",
			Grant:       Grant{Signature: "V4", Expiry: 300},
		},
	}
}

func TestValidateNamesTheField(t *testing.T) {
	c := good()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(*Config){
		"tenantUID":       func(c *Config) { c.TenantUID = "" },
		"tenant":          func(c *Config) { c.Tenant = "" },
		"bucket.prefix":   func(c *Config) { c.Bucket.Prefix = "p" },
		"bucket.endpoint": func(c *Config) { c.Bucket.Endpoint = "oss.example" },
		"limits.minSize":  func(c *Config) { c.Limits.MinSize = 3 },
		"limits.maxSize":  func(c *Config) { c.Limits.MaxSize = 6 << 30 },
		"contentTypes":    func(c *Config) { c.Limits.ContentTypes = nil },
		"filesPerRequest": func(c *Config) { c.Limits.FilesPerRequest = 0 },
		"signature":       func(c *Config) { c.Grant.Signature = "V2" },
		"grant.expiry":    func(c *Config) { c.Grant.Expiry = 3600 },
		"callback.url":    func(c *Config) { c.Callback.URL = "https://x/cb?a=1" },
		"keyURLPrefixes":  func(c *Config) { c.Callback.KeyURLPrefixes = nil },
		"auth.jwt":        func(c *Config) { c.Auth.JWT = &JWT{UserClaim: "sub"} },
		"auth.jwt.requiredClaims": func(c *Config) {
			c.Auth.JWT = &JWT{JWKSURL: "https://k", UserClaim: "sub", RequiredClaims: map[string]string{"role": ""}}
		},
		"exclude each other": func(c *Config) {
			c.Auth = Auth{JWT: &JWT{JWKSURL: "https://k", UserClaim: "sub"}, Forward: &Forward{URL: "https://a"}}
		},
		"auth.wechat.appID":           func(c *Config) { c.Auth.WeChat = &WeChat{SecretFile: "f"} },
		"auth.wechat.secretFile":      func(c *Config) { c.Auth.WeChat = &WeChat{AppID: "wx1"} },
		"auth.wechat.baseURL":         func(c *Config) { c.Auth.WeChat = &WeChat{AppID: "wx1", SecretFile: "f", BaseURL: "wechat"} },
		"auth.wechat.sessionDuration": func(c *Config) { c.Auth.WeChat = &WeChat{AppID: "wx1", SecretFile: "f", SessionDuration: 59} },
		"auth.wechat.userFrom":        func(c *Config) { c.Auth.WeChat = &WeChat{AppID: "wx1", SecretFile: "f", UserFrom: "Phone"} },
		"auth.wechat.failedLoginsPerMinute": func(c *Config) {
			c.Auth.WeChat = &WeChat{AppID: "wx1", SecretFile: "f", FailedLoginsPerMinute: -1}
		},
		"auth.forward.url":        func(c *Config) { c.Auth.Forward = &Forward{URL: "file:///etc/passwd"} },
		"auth.forward needs":      func(c *Config) { c.Auth.Forward = &Forward{URL: "https://a", UserHeader: "A", UserField: "a"} },
		"auth.forward.userHeader": func(c *Config) { c.Auth.Forward = &Forward{URL: "https://a", UserHeader: "A: b"} },
		"auth.forward.cacheSeconds": func(c *Config) {
			long := int64(86400)
			c.Auth.Forward = &Forward{URL: "https://a", CacheSeconds: &long}
		},
		"mediaCheck needs auth.wechat": func(c *Config) {
			c.Verification.MediaCheck = &MediaCheck{Scene: 1, PushTokenFile: "f"}
		},
		"mediaCheck.scene": func(c *Config) {
			c.Auth.WeChat = &WeChat{AppID: "wx1", SecretFile: "f"}
			c.Verification.MediaCheck = &MediaCheck{PushTokenFile: "f"}
		},
		"mediaCheck.pushTokenFile": func(c *Config) {
			c.Auth.WeChat = &WeChat{AppID: "wx1", SecretFile: "f"}
			c.Verification.MediaCheck = &MediaCheck{Scene: 4}
		},
		"mediaCheck needs": func(c *Config) {
			c.Auth.WeChat = &WeChat{AppID: "wx1", SecretFile: "f", UserFrom: UserFromUnionID}
			c.Verification.MediaCheck = &MediaCheck{Scene: 4, PushTokenFile: "f"}
		},
		"events.url":      func(c *Config) { c.Events = &Events{URL: "ftp://x", SecretFile: "f"} },
		"index":           func(c *Config) { c.Index = Index{} },
		"postgresDSNFile": func(c *Config) { c.Index.PostgresDSNFile = "f" },
	}
	for field, change := range tests {
		t.Run(field, func(t *testing.T) {
			c := good()
			change(&c)
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	raw, _ := json.Marshal(good())
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := Parse(raw)
		if err == nil && c.Validate() != nil {
			t.Error("Parse returned what Validate refuses")
		}
	})
}

// A field decides by its place whether a running signer follows it. So Config itself has none, and no name
// stands in both parts.
func TestEveryFieldIsFixedOrLive(t *testing.T) {
	whole := reflect.TypeFor[Config]()
	places := map[string]string{}
	for i := range whole.NumField() {
		part := whole.Field(i)
		if !part.Anonymous || part.Type != reflect.TypeFor[Fixed]() && part.Type != reflect.TypeFor[Live]() {
			t.Errorf("Config.%s: put it into Fixed, for which pods are replaced, or into Live, which a running signer follows", part.Name)
			continue
		}
		for j := range part.Type.NumField() {
			name, _, _ := strings.Cut(part.Type.Field(j).Tag.Get("json"), ",")
			if other := places[name]; name == "" || other != "" {
				t.Errorf("%s.%s: its JSON name %q is missing or also in %q", part.Name, part.Type.Field(j).Name, name, other)
			}
			places[name] = part.Name
		}
	}
	if len(places) == 0 {
		t.Error("no fields")
	}
}
