package devmode

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/uploadtenant/uploadtenant/devmode/manifest"
	"github.com/uploadtenant/uploadtenant/signer/sts"
	"github.com/uploadtenant/uploadtenant/test/await"
)

const tenantYAML = `
apiVersion: oss.uploadtenant.io/v1alpha1
kind: UploadTenant
metadata: {name: album, namespace: family}
spec:
  bucket: {name: family-album, prefix: album/}
  limits:
    size: {max: 1Mi}
    contentTypes: [image/jpeg]
`

const callbackYAML = "  callback: {url: https://upload.example.com/family/album/callback}\n"

// start brings a tenant up on free ports and drains it at the end of the test.
func start(t *testing.T, yaml, dataDir string) *Server {
	t.Helper()
	m, err := manifest.Parse(t.Context(), strings.NewReader(yaml))
	if err != nil {
		t.Fatal(err)
	}
	const free = "127.0.0.1:0"
	s, err := Start(t.Context(), Options{
		Manifest: m, Addr: free, OSSAddr: free, APIAddr: free, OpsAddr: free, DataDir: dataDir,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Wait(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("drain: %v", err)
		}
	})
	return s
}

// call the signer's API with a bearer token.
func call(t *testing.T, s *Server, method, path, token, body string, into any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.SignerURL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if into != nil && resp.StatusCode == http.StatusOK {
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatalf("%s %s answered %s: %v", method, path, raw, err)
		}
	}
	return resp.StatusCode
}

type grant struct {
	Status, ID, Key, URL, Ticket string
	Fields                       map[string]string
}

// upload stores a file of five bytes as user alice and returns its grant.
func upload(t *testing.T, s *Server) grant {
	t.Helper()
	var granted struct{ Uploads []grant }
	status := call(t, s, http.MethodPost, "/v1/uploads", "dev:alice", `{"files":[{"name":"a.jpg","size":5,"contentType":"image/jpeg"}]}`, &granted)
	if status != http.StatusOK || len(granted.Uploads) != 1 || granted.Uploads[0].Status != "upload" {
		t.Fatalf("grant: %d %+v", status, granted)
	}
	g := granted.Uploads[0]
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, value := range g.Fields {
		if err := form.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	part, err := form.CreateFormFile("file", "a.jpg")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(g.URL, form.FormDataContentType(), &body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode/100 != 2 {
		t.Fatalf("OSS answered %s: %s", resp.Status, answer)
	}
	return g
}

func records(t *testing.T, s *Server) []string {
	t.Helper()
	var list struct {
		Items []struct{ ID string }
	}
	if status := call(t, s, http.MethodGet, "/v1/uploads", "dev:alice", "", &list); status != http.StatusOK {
		t.Fatalf("list: %d", status)
	}
	var ids []string
	for _, item := range list.Items {
		ids = append(ids, item.ID)
	}
	return ids
}

func TestCallbackReachesTheSignerWhateverHostItNames(t *testing.T) {
	s := start(t, tenantYAML+callbackYAML, "")
	g := upload(t, s)
	if got := records(t, s); len(got) != 1 || got[0] != g.ID {
		t.Errorf("records = %v, want %s", got, g.ID)
	}
}

func TestWithoutCallbackTheClientCompletes(t *testing.T) {
	s := start(t, tenantYAML, "")
	g := upload(t, s)
	// On a busy machine the sweep of the start may still be under way and find the object first.
	ticket, err := json.Marshal(map[string]string{"ticket": g.Ticket})
	if err != nil {
		t.Fatal(err)
	}
	if status := call(t, s, http.MethodPost, "/v1/uploads/complete", "dev:alice", string(ticket), nil); status != http.StatusOK {
		t.Fatalf("complete: %d", status)
	}
	if got := records(t, s); len(got) != 1 || got[0] != g.ID {
		t.Errorf("records = %v, want %s", got, g.ID)
	}
}

func TestEventsAreSignedWithTheGeneratedSecret(t *testing.T) {
	type delivery struct {
		header http.Header
		body   []byte
	}
	deliveries := make(chan delivery, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		select {
		case deliveries <- delivery{r.Header, body}:
		default: // delivered again: at least once is the promise
		}
	}))
	t.Cleanup(receiver.Close)
	s := start(t, tenantYAML+callbackYAML+"  events: {url: '"+receiver.URL+"', secretRef: {name: absent}}\n", "")
	g := upload(t, s)
	var got delivery
	select {
	case got = <-deliveries:
	case <-time.After(60 * time.Second):
		t.Fatal("no event arrived")
	}
	secret, err := os.ReadFile(s.EventsSecretFile)
	if err != nil {
		t.Fatal(err)
	}
	webhook, err := standardwebhooks.NewWebhook(string(secret))
	if err != nil {
		t.Fatal(err)
	}
	if err := webhook.Verify(got.body, got.header); err != nil {
		t.Errorf("the event's signature: %v", err)
	}
	if id := got.header.Get("webhook-id"); id != g.ID {
		t.Errorf("webhook-id = %q, want the upload's id %q", id, g.ID)
	}
}

func TestSecretsOfTheFileAreUsed(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	yaml := tenantYAML + "  auth: {jwt: {secretRef: {name: album-jwt, key: hs}}}\n---\napiVersion: v1\nkind: Secret\n" +
		"metadata: {name: album-jwt, namespace: family}\nstringData: {hs: " + secret + "}\n"
	s := start(t, yaml, "")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(secret)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(jwt.Claims{Subject: "alice", Expiry: jwt.NewNumericDate(time.Now().Add(time.Minute))}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	if status := call(t, s, http.MethodGet, "/v1/uploads", token, "", nil); status != http.StatusOK {
		t.Errorf("a token signed with the file's secret: %d, want 200", status)
	}
	if status := call(t, s, http.MethodGet, "/v1/uploads", token+"x", "", nil); status != http.StatusUnauthorized {
		t.Errorf("a broken token: %d, want 401", status)
	}
}

func TestSecretsMayBeLeftOut(t *testing.T) {
	s := start(t, tenantYAML+"  auth: {jwt: {secretRef: {name: album-jwt}}}\n", "")
	if status := call(t, s, http.MethodGet, "/v1/uploads", "dev:alice", "", nil); status != http.StatusOK {
		t.Errorf("a dev token: %d, want 200", status)
	}
	if status := call(t, s, http.MethodGet, "/v1/uploads", "x.y.z", "", nil); status != http.StatusUnauthorized {
		t.Errorf("another token: %d, want 401", status)
	}
}

// TestStateSurvivesInDataDir restarts on the same folder, at last without the signer's database.
func TestStateSurvivesInDataDir(t *testing.T) {
	dir := t.TempDir()
	var id string
	t.Run("first run", func(t *testing.T) {
		id = upload(t, start(t, tenantYAML+callbackYAML, dir)).ID
	})
	t.Run("second run", func(t *testing.T) {
		s := start(t, tenantYAML+callbackYAML, dir)
		if got := records(t, s); len(got) != 1 || got[0] != id {
			t.Errorf("records = %v, want %s", got, id)
		}
		upload(t, s)
	})
	if err := os.RemoveAll(filepath.Join(dir, "index")); err != nil {
		t.Fatal(err)
	}
	t.Run("without the index", func(t *testing.T) {
		s := start(t, tenantYAML+callbackYAML, dir)
		await.True(t, "both uploads are recorded after the index was lost", func() bool { return len(records(t, s)) == 2 })
	})
}

func TestMemoryModeLeavesNothingBehind(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	t.Run("run", func(t *testing.T) { upload(t, start(t, tenantYAML, "")) })
	left, err := filepath.Glob(filepath.Join(tmp, "uploadtenant-dev-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestTheRoleTrustsTheTenantsServiceAccountOnly(t *testing.T) {
	s := start(t, tenantYAML, t.TempDir())
	for name, want := range map[string]bool{"album-signer": true, "other-signer": false} {
		id, err := newIdentity(s.state, time.Now, "family", name)
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := s.signerConfig(&manifest.Manifest{}, id)
		if err != nil {
			t.Fatal(err)
		}
		client, err := sts.New(sts.Config{
			Endpoint: s.APIURL, RoleARN: cfg.Credentials.RoleARN, OIDCProviderARN: cfg.Credentials.OIDCProviderARN, TokenFile: id.tokenFile(),
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (assume{id, client}).AssumeRole(t.Context()); (err == nil) != want {
			t.Errorf("service account %s: %v, want success %v", name, err, want)
		}
	}
}

func TestStartTellsWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	tests := map[string]struct {
		yaml string
		opts func(*Options)
		want []string
	}{
		"address in use": {
			yaml: tenantYAML, opts: func(o *Options) { o.OSSAddr = taken.Addr().String() },
			want: []string{"--oss-addr " + taken.Addr().String() + " is in use", "choose another address"},
		},
		"secret without the key": {
			yaml: tenantYAML + "  auth: {jwt: {secretRef: {name: j}}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: j, namespace: family}\nstringData: {other: x}\n",
			want: []string{`spec.auth.jwt.secretRef names key "secret" of Secret family/j`, "no such key"},
		},
		"secret too short": {
			yaml: tenantYAML + "  auth: {jwt: {secretRef: {name: j}}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: j, namespace: family}\nstringData: {secret: short}\n",
			want: []string{"HS256 secret", "at least 32"},
		},
		"data folder is a file": {
			yaml: tenantYAML, opts: func(o *Options) { o.DataDir = os.Args[0] },
			want: []string{"make the data folder"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m, err := manifest.Parse(t.Context(), strings.NewReader(tc.yaml))
			if err != nil {
				t.Fatal(err)
			}
			const free = "127.0.0.1:0"
			opts := Options{Manifest: m, Addr: free, OSSAddr: free, APIAddr: free, OpsAddr: free, Logger: slog.New(slog.DiscardHandler)}
			if tc.opts != nil {
				tc.opts(&opts)
			}
			s, err := Start(t.Context(), opts)
			if err == nil {
				_ = s.close(t.Context())
				t.Fatal("it started")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q: %v", want, err)
				}
			}
		})
	}
}
