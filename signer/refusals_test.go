package signer

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/signer/problem"
	"github.com/uploadtenant/uploadtenant/signer/ticket"
	"github.com/uploadtenant/uploadtenant/test/await"
)

// Forged callbacks are refused, counted and never recorded.
func TestForgedCallbacksAreRefused(t *testing.T) {
	f := newFixture(t)
	foreign, err := ticket.ParseKeyring([]byte(`{"current":"k1","keys":{"k1":"`+base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{9}, 32))+`"}}`), "uid-1")
	if err != nil {
		t.Fatal(err)
	}
	sameKeyOtherTenant, err := ticket.LoadKeyring(f.cfg.TicketKeysFile, "uid-2")
	if err != nil {
		t.Fatal(err)
	}
	change := func(values url.Values, name, value string) string {
		values.Set(name, value)
		return values.Encode()
	}
	tests := map[string]struct {
		request    func(form url.Values, v Verdict) callbackRequest
		wantStatus int
		wantReason string
	}{
		"wrong key host": {func(form url.Values, _ Verdict) callbackRequest {
			return callbackRequest{keyURL: "https://gosspublic.alicdn.com.evil.example/key.pem", body: form.Encode()}
		}, 403, "key_url"},
		"key outside the prefix": {func(form url.Values, _ Verdict) callbackRequest {
			return callbackRequest{keyURL: f.keyServer.URL + "/other/key.pem", body: form.Encode()}
		}, 403, "key_url"},
		"wrong signature": {func(form url.Values, _ Verdict) callbackRequest {
			return callbackRequest{body: form.Encode(), tamper: func(r *http.Request) {
				r.Header.Set("Authorization", base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 256)))
			}}
		}, 403, "signature"},
		"signed for another path": {func(form url.Values, _ Verdict) callbackRequest {
			return callbackRequest{signedPath: "/other/callback", body: form.Encode()}
		}, 403, "signature"},
		"query added": {func(form url.Values, _ Verdict) callbackRequest {
			return callbackRequest{path: "/family/album/callback?x=1", body: form.Encode()}
		}, 403, "signature"},
		"unsigned": {func(form url.Values, _ Verdict) callbackRequest {
			return callbackRequest{body: form.Encode(), tamper: func(r *http.Request) { r.Header.Del("Authorization") }}
		}, 403, "unsigned"},
		"no ticket": {func(form url.Values, _ Verdict) callbackRequest {
			return callbackRequest{body: change(form, "ticket", "")}
		}, 403, "ticket"},
		"ticket of text": {func(form url.Values, _ Verdict) callbackRequest {
			return callbackRequest{body: change(form, "ticket", "AQ")}
		}, 403, "ticket"},
		"ticket of another key": {func(form url.Values, v Verdict) callbackRequest {
			return callbackRequest{body: change(form, "ticket", foreign.Seal(&ticket.Ticket{ID: v.ID, User: "alice", Key: v.Key, Type: "image/jpeg", Size: 12345}))}
		}, 403, "ticket"},
		"ticket of another tenant": {func(form url.Values, v Verdict) callbackRequest {
			return callbackRequest{body: change(form, "ticket", sameKeyOtherTenant.Seal(&ticket.Ticket{ID: v.ID, User: "alice", Key: v.Key, Type: "image/jpeg", Size: 12345}))}
		}, 403, "ticket"},
		"ticket of another grant": {func(form url.Values, _ Verdict) callbackRequest {
			return callbackRequest{body: change(form, "ticket", f.grant("bob", onePhoto).Ticket)}
		}, 403, "mismatch"},
		"other object": {func(form url.Values, _ Verdict) callbackRequest {
			return callbackRequest{body: change(form, "object", "album/bob/x.jpg")}
		}, 403, "mismatch"},
		"other bucket": {func(form url.Values, _ Verdict) callbackRequest {
			return callbackRequest{body: change(form, "bucket", "x")}
		}, 403, "mismatch"},
		"other size": {func(form url.Values, _ Verdict) callbackRequest {
			return callbackRequest{body: change(form, "size", "1")}
		}, 409, "mismatch"},
		"no size": {func(form url.Values, _ Verdict) callbackRequest {
			return callbackRequest{body: change(form, "size", "")}
		}, 403, "mismatch"},
		"other type": {func(form url.Values, _ Verdict) callbackRequest {
			return callbackRequest{body: change(form, "mimeType", "text/html")}
		}, 409, "mismatch"},
		"nothing stored": {func(form url.Values, _ Verdict) callbackRequest {
			return callbackRequest{body: form.Encode(), unstored: true}
		}, 403, "no_object"},
		"not a form":   {func(url.Values, Verdict) callbackRequest { return callbackRequest{body: "%zz;"} }, 400, "body"},
		"endless body": {func(url.Values, Verdict) callbackRequest { return callbackRequest{body: strings.Repeat("x", 1<<20)} }, 413, "body"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sample := fmt.Sprintf(`uploadtenant_signer_callbacks_total{reason=%q,result="refused"}`, test.wantReason)
			before := f.metric(sample)
			v := f.grant("alice", onePhoto)
			status, answer := f.callback(test.request(callbackForm(v), v))
			p := decode[problem.Problem](t, answer)
			if status != test.wantStatus || p.Status != status || p.Code == "" || p.RequestID == "" {
				t.Errorf("status %d: %s", status, answer)
			}
			if f.metric(sample) == before {
				t.Errorf("%s was not counted", sample)
			}
		})
	}
	if got := append(f.records("alice"), f.records("bob")...); len(got) != 0 {
		t.Errorf("recorded: %+v", got)
	}
}

// FuzzCallbackForm signs whatever body: it is taken only when it speaks of the object that is stored, and no
// body makes the signer fail. TICKET stands for a valid ticket, KEY for its key.
func FuzzCallbackForm(f *testing.F) {
	fx := newFixture(f)
	v := fx.grant("alice", onePhoto)
	stored := callbackForm(v)
	fx.stored(stored)
	good := callbackForm(v)
	good.Set("ticket", "TICKET")
	good.Set("object", "KEY")
	f.Add("ticket=TICKET&bucket=family-album&object=KEY&size=12345&mimeType=image%2Fjpeg&width=-5&height=99999999999999999999&format=jpg")
	f.Add(good.Encode())
	f.Add("ticket=TICKET&bucket=family-album&object=KEY&size=12345")
	f.Add("ticket=TICKET;bucket=family-album&object=KEY&object=other&size=012345&etag=%00")
	f.Fuzz(func(t *testing.T, body string) {
		fx := &fixture{t: t, server: fx.server, api: fx.api, private: fx.private, keyServer: fx.keyServer}
		body = strings.ReplaceAll(strings.ReplaceAll(body, "TICKET", v.Ticket), "KEY", url.QueryEscape(v.Key))
		status, answer := fx.callback(callbackRequest{body: body, unstored: true})
		form, _ := url.ParseQuery(body)
		size, _ := strconv.Atoi(form.Get("size"))
		speaksOfIt := form.Get("ticket") == v.Ticket && form.Get("bucket") == "family-album" && form.Get("object") == v.Key && size == 12345 &&
			(form.Get("etag") == "" || strings.EqualFold(form.Get("etag"), stored.Get("etag")))
		if status >= 500 || status == http.StatusOK && !speaksOfIt {
			t.Errorf("status %d: %s", status, answer)
		}
		records := fx.records("alice")
		if len(records) > 1 {
			t.Errorf("%d records of one object", len(records))
		}
		for _, r := range records {
			if r.Image != nil && (r.Image.Width < 0 || r.Image.Height < 0) {
				t.Errorf("an image of %d x %d", r.Image.Width, r.Image.Height)
			}
		}
	})
}

func TestBadRequestsAreProblemDocuments(t *testing.T) {
	f := newFixture(t)
	many := `{"files":[` + strings.TrimSuffix(strings.Repeat(onePhoto+",", 21), ",") + `]}`
	tests := map[string]struct {
		user, method, path, body string
		wantStatus               int
		wantCode                 string
	}{
		"no token":            {"", "POST", "/v1/uploads", `{"files":[` + onePhoto + `]}`, 401, "unauthorized"},
		"unknown field":       {"alice", "POST", "/v1/uploads", `{"files":[` + onePhoto + `],"x":1}`, 400, "unknown_field"},
		"unknown file field":  {"alice", "POST", "/v1/uploads", `{"files":[{"name":"a.jpg","size":1,"acl":"public-read"}]}`, 400, "unknown_field"},
		"not JSON":            {"alice", "POST", "/v1/uploads", `files`, 400, "invalid_json"},
		"empty body":          {"alice", "POST", "/v1/uploads", ``, 400, "invalid_json"},
		"two values":          {"alice", "POST", "/v1/uploads", `{"files":[` + onePhoto + `]} {}`, 400, "invalid_json"},
		"wrong kind":          {"alice", "POST", "/v1/uploads", `{"files":[{"name":"a.jpg","size":"1"}]}`, 400, "invalid_field"},
		"fraction":            {"alice", "POST", "/v1/uploads", `{"files":[{"name":"a.jpg","size":1.5}]}`, 400, "invalid_field"},
		"no files":            {"alice", "POST", "/v1/uploads", `{"files":[]}`, 400, "no_files"},
		"too many files":      {"alice", "POST", "/v1/uploads", many, 400, "too_many_files"},
		"endless body":        {"alice", "POST", "/v1/uploads", strings.Repeat(" ", 1<<20), 413, "body_too_large"},
		"wrong method":        {"alice", "PUT", "/v1/uploads", ``, 405, "method_not_allowed"},
		"unknown path":        {"alice", "GET", "/v1/nothing", ``, 404, "not_found"},
		"limit":               {"alice", "GET", "/v1/uploads?limit=0", ``, 400, "invalid_limit"},
		"limit of text":       {"alice", "GET", "/v1/uploads?limit=x", ``, 400, "invalid_limit"},
		"cursor":              {"alice", "GET", "/v1/uploads?cursor=x", ``, 400, "invalid_cursor"},
		"unknown id":          {"alice", "GET", "/v1/uploads/01m80000000000000000000000", ``, 404, "not_found"},
		"forged ticket":       {"alice", "POST", "/v1/uploads/complete", `{"ticket":"AQJrMQ"}`, 400, "invalid_ticket"},
		"callback by GET":     {"alice", "GET", "/family/album/callback", ``, 405, "method_not_allowed"},
		"object not there":    {"alice", "POST", "/v1/uploads/complete", `{"ticket":"` + f.grant("alice", onePhoto).Ticket + `"}`, 404, "not_uploaded"},
		"ticket of somebody":  {"alice", "POST", "/v1/uploads/complete", `{"ticket":"` + f.grant("bob", onePhoto).Ticket + `"}`, 403, "ticket_of_another_user"},
		"path out of the API": {"alice", "GET", "/v1/uploads/..%2f..%2fetc", ``, 404, "not_found"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			status, header, body := f.do(test.user, test.method, test.path, test.body)
			p := decode[problem.Problem](t, body)
			if status != test.wantStatus || p.Code != test.wantCode || p.Status != status || p.Title == "" || p.Detail == "" || !strings.HasSuffix(p.Type, p.Code) {
				t.Errorf("status %d: %s", status, body)
			}
			if header.Get("Content-Type") != "application/problem+json" || p.RequestID == "" || header.Get("X-Request-Id") != p.RequestID {
				t.Errorf("headers %v", header)
			}
		})
	}
}

// One verdict per file, in order; a bad file does not spoil the good ones.
func TestVerdictsComeInOrder(t *testing.T) {
	f := newFixture(t)
	long, _ := json.Marshal(strings.Repeat("x", maxMetadata))
	files := []struct{ file, want string }{
		{onePhoto, ""},
		{`{"name":"a.exe","size":5,"contentType":"image/jpeg"}`, "extension_not_allowed"},
		{`{"name":"big.jpg","size":99999999,"contentType":"image/jpeg"}`, "file_too_large"},
		{`{"name":"a.jpg","size":5,"contentType":"application/x-sh"}`, "type_not_allowed"},
		{`{"name":"a.jpg","size":5,"contentType":"image/png"}`, "type_mismatch"},
		{`{"name":"../a.jpg","size":5,"contentType":"image/jpeg"}`, "invalid_name"},
		{`{"name":"a\u0000.jpg","size":5,"contentType":"image/jpeg"}`, "invalid_name"},
		{`{"name":"a.jpg","size":5,"contentType":"image/jpeg","md5":"xyz"}`, "invalid_md5"},
		{`{"name":"a.jpg","size":5,"contentType":"image/jpeg","metadata":[1]}`, "invalid_metadata"},
		{`{"name":"a.jpg","size":5,"contentType":"image/jpeg","metadata":{"a":` + string(long) + `}}`, "invalid_metadata"},
		{`{"name":"a.jpg","size":5,"contentType":"image/jpeg","metadata":{"a":{"b":{"c":{"d":{}}}}}}`, "invalid_metadata"},
		{`{"name":"a.jpg","size":5,"contentType":"image/jpeg","metadata":{"a":"` + "\xff" + `"}}`, "invalid_metadata"},
		{`{"name":"","size":5,"contentType":"image/png"}`, ""},
		{`{"name":"\"}],\"x.jpg","size":5,"contentType":"image/jpeg"}`, ""},
	}
	var list []string
	for _, file := range files {
		list = append(list, file.file)
	}
	status, _, body := f.do("alice", http.MethodPost, "/v1/uploads", `{"files":[`+strings.Join(list, ",")+`]}`)
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	verdicts := decode[UploadsResponse](t, body).Uploads
	if len(verdicts) != len(files) {
		t.Fatalf("%d verdicts for %d files", len(verdicts), len(files))
	}
	ids := map[string]bool{}
	for i, v := range verdicts {
		if files[i].want == "" {
			if v.Status != "upload" || ids[v.ID] || v.FileField != "file" || v.Method != http.MethodPost || v.ExpiresIn < 1 || v.ExpiresIn > 300 || !strings.HasPrefix(v.Key, "album/alice/") {
				t.Errorf("file %d: %+v", i, v)
			}
			ids[v.ID] = true
			continue
		}
		if v.Status != "rejected" || v.Error == nil || v.Error.Code != files[i].want || v.Error.RequestID == "" || v.Fields != nil {
			t.Errorf("file %d: want %s, got %+v %+v", i, files[i].want, v, v.Error)
		}
	}
}

// The policy of a grant parses, and pins each field that the form carries to its value.
func TestThePolicyPinsEveryFormField(t *testing.T) {
	f := newFixture(t)
	for range 7 { // lengths differ from grant to grant, and with them the padding
		v := f.grant("alice", onePhoto)
		raw, err := base64.StdEncoding.DecodeString(v.Fields["policy"])
		if err != nil {
			t.Fatal(err)
		}
		var policy struct {
			Expiration time.Time
			Conditions []any
		}
		if err := json.Unmarshal(raw, &policy); err != nil {
			t.Fatalf("%v in %s", err, raw)
		}
		pinned := map[string]string{}
		for _, c := range policy.Conditions {
			if pair, ok := c.(map[string]any); ok && len(pair) == 1 {
				for name, value := range pair {
					pinned[name], _ = value.(string)
				}
			}
		}
		for name, value := range v.Fields {
			if name != "policy" && name != "x-oss-signature" && pinned[name] != value {
				t.Errorf("%s is not pinned to %q: %s", name, value, raw)
			}
		}
		if pinned["bucket"] != "family-album" || !strings.Contains(string(raw), `["content-length-range",12345,12345]`) {
			t.Errorf("policy %s", raw)
		}
		var cb struct{ CallbackURL, CallbackBody, CallbackBodyType string }
		doc, err := base64.StdEncoding.DecodeString(v.Fields["callback"])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(doc, &cb); err != nil || cb.CallbackURL != testCallbackURL || !strings.HasSuffix(cb.CallbackBody, "&ticket="+v.Ticket) {
			t.Errorf("callback %s: %v", doc, err)
		}
	}
}

func TestGrantsNeverOutliveTheCredential(t *testing.T) {
	f := newFixture(t)
	f.credentials.mu.Lock()
	f.credentials.cred.Expires = time.Now().Add(40 * time.Second)
	f.credentials.mu.Unlock()
	if v := f.grant("alice", onePhoto); v.ExpiresIn > 40 {
		t.Errorf("expires in %d s", v.ExpiresIn)
	}
	f.credentials.mu.Lock()
	f.credentials.cred.Expires = time.Now().Add(5 * time.Second)
	f.credentials.mu.Unlock()
	status, _, body := f.do("alice", http.MethodPost, "/v1/uploads", `{"files":[`+onePhoto+`]}`)
	if p := decode[problem.Problem](t, body); status != http.StatusServiceUnavailable || p.Code != "credentials_unavailable" {
		t.Errorf("status %d: %s", status, body)
	}
	recorder := httptest.NewRecorder()
	f.server.Ops().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	if recorder.Code != http.StatusServiceUnavailable {
		t.Errorf("ready without credentials: %d", recorder.Code)
	}
}

func TestCORSAnswersExactlyTheTenantsOrigins(t *testing.T) {
	f := newFixture(t, func(c *config.Config) {
		c.AllowedOrigins = []string{"https://h5.example.com", "https://*.wild.example"}
	})
	tests := map[string]bool{
		"https://h5.example.com": true, "https://a.wild.example": true, "http://h5.example.com": false, "https://h5.example.com.evil.example": false,
		"https://evil.example": false, "null": false, "https://wild.example": false,
	}
	for origin, want := range tests {
		t.Run(origin, func(t *testing.T) {
			for _, method := range []string{http.MethodOptions, http.MethodGet} {
				req, _ := http.NewRequest(method, f.api.URL+"/v1/uploads", nil)
				req.Header.Set("Origin", origin)
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				got := resp.Header.Get("Access-Control-Allow-Origin")
				if (got == origin) != want || (got != "") != want || resp.Header.Get("Vary") != "Origin" {
					t.Errorf("%s: allow %q, vary %q", method, got, resp.Header.Get("Vary"))
				}
				if method == http.MethodOptions && want && !strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "Authorization") {
					t.Errorf("preflight %v", resp.Header)
				}
			}
		})
	}
}

// awaitNextMillisecond returns when an id that is made now sorts after every id made before the call.
func awaitNextMillisecond() {
	for before := time.Now().UnixMilli(); time.Now().UnixMilli() == before; {
		runtime.Gosched()
	}
}

func TestAListIsPagedNewestFirst(t *testing.T) {
	f := newFixture(t)
	var want []string
	for range 5 {
		v := f.grant("alice", onePhoto)
		if status, answer := f.callback(callbackRequest{body: callbackForm(v).Encode()}); status != http.StatusOK {
			t.Fatalf("status %d: %s", status, answer)
		}
		want = append([]string{v.ID}, want...)
		awaitNextMillisecond() // ids sort by the millisecond of the grant
	}
	var got []string
	pages, cursor := 0, ""
	for {
		_, _, body := f.do("alice", http.MethodGet, "/v1/uploads?limit=2&cursor="+cursor, "")
		page := decode[UploadList](t, body)
		for _, item := range page.Items {
			got = append(got, item.ID)
		}
		pages++
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if pages != 3 || strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%d pages: %v, want %v", pages, got, want)
	}
	if _, _, body := f.do("bob", http.MethodGet, "/v1/uploads/"+want[0], ""); decode[problem.Problem](t, body).Code != "not_found" {
		t.Errorf("bob reads alice's upload: %s", body)
	}
}

// A restart keeps records and events that were not delivered.
func TestARestartLosesNothing(t *testing.T) {
	f := newFixture(t)
	f.receiver.mu.Lock()
	f.receiver.failures = 1
	f.receiver.mu.Unlock()
	v := f.grant("alice", onePhoto)
	if status, answer := f.callback(callbackRequest{body: callbackForm(v).Encode()}); status != http.StatusOK {
		t.Fatalf("status %d: %s", status, answer)
	}
	f.stop()
	f.start()
	if got := f.records("alice"); len(got) != 1 || got[0].ID != v.ID {
		t.Errorf("records %+v", got)
	}
	await.True(t, "the event arrives", func() bool { return len(f.receiver.received()) == 1 })
}

func TestNoSecretReachesTheLog(t *testing.T) {
	var log bytes.Buffer
	f := newFixture(t)
	f.logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f.stop()
	f.start()
	v := f.grant("alice", onePhoto)
	f.receiver.mu.Lock()
	f.receiver.failures = 1
	f.receiver.mu.Unlock()
	f.callback(callbackRequest{body: "forged"})
	f.callback(callbackRequest{body: callbackForm(v).Encode()})
	f.do("alice", http.MethodPost, "/v1/uploads/complete", `{"ticket":"`+v.Ticket+`"}`)
	await.True(t, "the event arrives", func() bool { return len(f.receiver.received()) == 1 })
	f.stop()
	for _, secret := range []string{v.Ticket, v.Fields["policy"], v.Fields["x-oss-signature"], "sts-secret", "security-token", "secretquery", testSecret, testEventSecret, "Bearer", makeJWT("alice", time.Now())[:40]} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log shows %.20q…:\n%s", secret, log.String())
		}
	}
	if !strings.Contains(log.String(), v.ID) {
		t.Errorf("the log does not name the upload:\n%s", log.String())
	}
}

// Who asks what became of an upload finds the request that granted it.
func TestTheAccessLogNamesTheGrantedUploads(t *testing.T) {
	for level, want := range map[slog.Level]bool{slog.LevelDebug: true, slog.LevelInfo: false} {
		var log bytes.Buffer
		f := newFixture(t)
		f.logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: level}))
		f.stop()
		f.start()
		v := f.grant("alice", onePhoto)
		f.stop()
		found := false
		for line := range strings.SplitSeq(log.String(), "\n") {
			var entry struct {
				Msg, Operation string
				Uploads        []string
			}
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "request" && entry.Operation == "createUploads" {
				found = len(entry.Uploads) == 1 && entry.Uploads[0] == v.ID
			}
		}
		if found != want {
			t.Errorf("level %s: the access log names the upload: %t, want %t:\n%s", level, found, want, log.String())
		}
	}
}

func TestOpenAPIDescribesEveryOperation(t *testing.T) {
	f := newFixture(t)
	status, _, body := f.do("", http.MethodGet, "/openapi.json", "")
	if status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	doc := decode[struct {
		OpenAPI    string
		Paths      map[string]map[string]any
		Components struct{ Schemas map[string]any }
	}](t, body)
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("version %s", doc.OpenAPI)
	}
	for _, op := range f.server.operations() {
		if !op.doc.hidden && doc.Paths[op.pattern][strings.ToLower(op.method)] == nil {
			t.Errorf("%s %s is missing", op.method, op.pattern)
		}
	}
	for _, part := range strings.Split(string(body), `"$ref":"#/components/schemas/`)[1:] {
		if name, _, _ := strings.Cut(part, `"`); doc.Components.Schemas[name] == nil {
			t.Errorf("schema %s is missing", name)
		}
	}
	want := map[string]any{"type": "object", "additionalProperties": false, "required": []any{"name", "size"}, "properties": map[string]any{
		"name":        map[string]any{"type": "string", "description": "original file name, at most 255 bytes, without a path; may be empty", "examples": []any{"a.jpg"}},
		"size":        map[string]any{"type": "integer", "format": "int64", "description": "exact size in bytes; OSS refuses any other size", "examples": []any{12345.0}},
		"contentType": map[string]any{"type": "string", "description": "media type; taken from the extension when left out", "examples": []any{"image/jpeg"}},
		"md5":         map[string]any{"type": "string", "description": "MD5 of the content in hex", "pattern": "^[0-9a-fA-F]{32}$"},
		"metadata":    map[string]any{"description": "JSON object of at most 2048 bytes that comes back with the record and the event"},
	}}
	if diff := cmp.Diff(any(want), doc.Components.Schemas["FileRequest"]); diff != "" {
		t.Errorf("FileRequest (-want +got):\n%s", diff)
	}
}
