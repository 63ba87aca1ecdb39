package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"sync"
	"time"
)

// receiver is the application that callbacks reach. It remembers the last one.
type receiver struct {
	server *http.Server
	addr   string
	mu     sync.Mutex
	header http.Header
	body   string
}

// listen starts a receiver on addr.
func listen(addr string) (*receiver, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	r := &receiver{addr: listener.Addr().String()}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = r.server.Serve(listener) }()
	return r, nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(io.LimitReader(req.Body, 1<<20))
	if err != nil {
		return
	}
	r.mu.Lock()
	r.header, r.body = req.Header.Clone(), string(body)
	r.mu.Unlock()
	const reply = `{"received":true}`
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", "17")
	_, _ = io.WriteString(w, reply)
}

func (r *receiver) last() (http.Header, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.header, r.body
}

// errNoReceiver says why a case was left out.
var errNoReceiver = errors.New("not run: callbacks need --callback-listen and --callback-url, an address of this machine that the cloud reaches")

// callbackUpload uploads with a callback and returns what arrived.
func (t *target) callbackUpload(ctx context.Context, name string, callback map[string]any, extra ...field) (answer, http.Header, string, error) {
	if t.receiver == nil {
		return answer{}, nil, "", errNoReceiver
	}
	callback["callbackUrl"] = t.callbackURL
	raw, err := json.Marshal(callback)
	if err != nil {
		return answer{}, nil, "", err
	}
	f := form{cred: t.admin, key: t.prefix + name, listed: true,
		fields: append([]field{{"callback", base64.StdEncoding.EncodeToString(raw)}}, extra...)}
	a, err := t.post(ctx, f)
	if err != nil {
		return a, nil, "", err
	}
	header, body := t.receiver.last()
	return a, header, body, nil
}

func callbackCases() []probeCase {
	return []probeCase{
		{"callback-status", "Which status does an upload with a callback have, whatever success_action_status says?", func(ctx context.Context, t *target) (string, error) {
			a, _, _, err := t.callbackUpload(ctx, "cb-status", map[string]any{"callbackBody": "key=${object}"}, field{"success_action_status", "201"})
			return a.String() + " " + string(a.Body), err
		}},
		{"callback-headers", "Which headers does a callback carry?", func(ctx context.Context, t *target) (string, error) {
			_, header, _, err := t.callbackUpload(ctx, "cb-headers", map[string]any{"callbackBody": "key=${object}"})
			names := make([]string, 0, len(header))
			for name := range header {
				names = append(names, strings.ToLower(name))
			}
			sort.Strings(names)
			return strings.Join(names, " "), err
		}},
		{"callback-content-md5", "Is ${contentMd5} hex or base64?", func(ctx context.Context, t *target) (string, error) {
			_, _, body, err := t.callbackUpload(ctx, "cb-md5", map[string]any{"callbackBody": "md5=${contentMd5}"})
			if err != nil {
				return "", err
			}
			values, err := url.ParseQuery(body)
			v := values.Get("md5")
			_, hexErr := hex.DecodeString(v)
			switch {
			case hexErr == nil && len(v) == 32:
				return "hex", err
			case strings.HasSuffix(v, "=="):
				return "base64", err
			}
			return "neither: " + body, err
		}},
		{"callback-json-escaping", "How are quotes escaped in a JSON template?", func(ctx context.Context, t *target) (string, error) {
			_, _, body, err := t.callbackUpload(ctx, "cb-json", map[string]any{
				"callbackBody": `{"name":${x:name},"size":${size},"type":${mimeType}}`, "callbackBodyType": "application/json"}, field{"x:name", `a"b\c`})
			return body, err
		}},
	}
}
