package oss

import (
	"hash/crc64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
)

// The policies and values of these vectors come from the algorithm of the official sample, computed independently.
func TestFormSignatureVectors(t *testing.T) {
	tests := map[string]struct {
		secret, date, policy, want, wantV1 string
	}{
		"long-lived key": {
			secret: "ExampleSecretKey0000000000001", date: "20231203",
			policy: `{"expiration":"2023-12-03T13:00:00.000Z","conditions":[{"bucket":"examplebucket"},{"x-oss-signature-version":"OSS4-HMAC-SHA256"},{"x-oss-credential":"LTAI5tEXAMPLEKEYID00001/20231203/cn-hangzhou/oss/aliyun_v4_request"},{"x-oss-date":"20231203T121212Z"},["content-length-range",1,10],["eq","$success_action_status","201"],["starts-with","$key","user/eric/"],["in","$content-type",["image/jpg","image/png"]],["not-in","$cache-control",["no-cache"]]]}`,
			want:   "d246617cd04190f440f622b9d5ce93dfbaaf3c746994b84a22eff3749ecb738f",
			wantV1: "mn8Nup0Q74SD9qJX6NroTvlN22A=",
		},
		"temporary key": {
			secret: "ExampleStsSecret0000000000002", date: "20250401",
			policy: `{"expiration":"2025-04-01T08:10:00.000Z","conditions":[{"bucket":"examplebucket"},{"x-oss-signature-version":"OSS4-HMAC-SHA256"},{"x-oss-credential":"STS.NExampleAK0001/20250401/cn-hangzhou/oss/aliyun_v4_request"},{"x-oss-date":"20250401T080000Z"},{"x-oss-security-token":"CAISexampletoken"},["eq","$key","t/a.png"],["content-length-range",1,1048576]]}`,
			want:   "95e9d0553b89093014fcda5b788126c763d33c2a31bab252ac1d19c0b95c8bf6",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			encoded := base64Std([]byte(tt.policy))
			if got := signV4(tt.secret, scope{tt.date, "cn-hangzhou", "oss"}, encoded); got != tt.want {
				t.Errorf("V4 = %s, want %s", got, tt.want)
			}
			if tt.wantV1 != "" {
				if got := signV1(tt.secret, encoded); got != tt.wantV1 {
					t.Errorf("V1 = %s, want %s", got, tt.wantV1)
				}
			}
		})
	}
}

// The values are those of the official Go SDK's signer_test.go (TestV4AuthHeader).
func TestHeaderV4SDKVectors(t *testing.T) {
	query := url.Values{}
	for _, p := range [][2]string{{"param1", "value1"}, {"+param1", "value3"}, {"|param1", "value4"}, {"+param2", ""}, {"|param2", ""}, {"param2", ""}} {
		query.Add(p[0], p[1])
	}
	tests := map[string]struct {
		unix       int64
		token      string
		additional []string
		want       string
	}{
		"plain":              {unix: 1702743657, want: "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe"},
		"token":              {unix: 1702784856, token: "token", want: "b94a3f999cf85bcdc00d332fbd3734ba03e48382c36fa4d5af5df817395bd9ea"},
		"additional headers": {unix: 1702747512, additional: []string{"abc", "zabc"}, want: "4a4183c187c07c8947db7620deb0a6b38d9fbdd34187b6dbaccb316fa251212f"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			signed := time.Unix(tt.unix, 0).UTC()
			r := httptest.NewRequest(http.MethodPut, "http://bucket.oss-cn-hangzhou.aliyuncs.com/?"+query.Encode(), nil)
			r.Header = http.Header{}
			for k, v := range map[string]string{
				"x-oss-head1": "value", "abc": "value", "ZAbc": "value", "XYZ": "value", "content-type": "text/plain",
				"x-oss-content-sha256": "UNSIGNED-PAYLOAD", "x-oss-date": signed.Format(iso8601),
			} {
				r.Header.Set(k, v)
			}
			if tt.token != "" {
				r.Header.Set("x-oss-security-token", tt.token)
			}
			q := &request{r: r, bucket: "bucket", key: "1234+-/123/1.txt"}
			if err := q.parseQuery(); err != nil {
				t.Fatal(err)
			}
			sc := scope{signed.Format("20060102"), "cn-hangzhou", "oss"}
			text := "OSS4-HMAC-SHA256\n" + signed.Format(iso8601) + "\n" + sc.String() + "\n" +
				sha256Hex(q.canonicalRequest(q.canonicalQuery(""), tt.additional))
			if got := signV4("sk", sc, text); got != tt.want {
				t.Errorf("signature = %s, want %s", got, tt.want)
			}
		})
	}
}

func TestCombineCRC64(t *testing.T) {
	table := crc64.MakeTable(crc64.ECMA)
	whole := []byte("The quick brown fox jumps over the lazy dog, and then some more of it.")
	for cut := range len(whole) + 1 {
		a, b := crc64.Checksum(whole[:cut], table), crc64.Checksum(whole[cut:], table)
		if got, want := combineCRC64(a, b, int64(len(whole)-cut)), crc64.Checksum(whole, table); got != want {
			t.Fatalf("cut at %d: %d, want %d", cut, got, want)
		}
	}
}
