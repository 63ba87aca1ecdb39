// Package admin is what the emulator offers besides the cloud: faults, the request log, counters and the page for
// people, all below /_emulator/ on the OSS address.
package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator/faults"
	"github.com/uploadtenant/uploadtenant/emulator/iam"
	"github.com/uploadtenant/uploadtenant/emulator/iam/rpc"
	"github.com/uploadtenant/uploadtenant/emulator/requestlog"
)

// Admin joins the faults and the log with the two halves of the emulator. It is safe for concurrent use after Use.
type Admin struct {
	Faults *faults.Injector
	Log    *requestlog.Log

	clock   func() time.Time
	iam     *iam.Service
	storage Storage
}

// New returns an Admin whose hooks can be handed to the halves of the emulator; Use must follow before the first request.
// base is the clock without the fault clockOffsetMs; Clock is the one to give to everything else.
func New(base func() time.Time) *Admin {
	injector := faults.New()
	return &Admin{Faults: injector, Log: requestlog.New(), clock: injector.Clock(base)}
}

// Clock is the time of the emulated cloud.
func (a *Admin) Clock() func() time.Time { return a.clock }

// Use names what the page shows and what faults reach into.
func (a *Admin) Use(identity *iam.Service, storage Storage) {
	a.iam, a.storage = identity, storage
	a.Faults.OnChange(func(c faults.Config) {
		identity.SetPropagationDelay(time.Duration(c.RAMPropagationMs) * time.Millisecond)
		if c.ExpireTokens {
			identity.ExpireSessions()
		}
	})
}

// APIHooks disturb and record the calls of RAM, STS and IMS.
func (a *Admin) APIHooks() iam.Hooks {
	return iam.Hooks{
		Before: func(c *iam.Call, w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *rpc.Error) {
			p := a.Faults.Plan(c.Operation)
			faults.Wait(r.Context(), p.Delay)
			w, _ = p.Drop(w, r)
			if p.DropRequest {
				// The whole request has been read already: refusing it keeps it from taking effect, and the writer
				// breaks the connection before the refusal is sent.
				return w, &rpc.Error{Status: http.StatusBadRequest, Code: "RequestDropped", Message: "A fault broke the connection."}
			}
			if p.Code != "" {
				return w, &rpc.Error{Status: p.Status, Code: p.Code, Message: messageOf(p.Code)}
			}
			return w, nil
		},
		After: func(c *iam.Call, r *http.Request) {
			a.Log.Add(requestlog.Entry{
				Time: c.Start.UTC(), Service: "api", Operation: operationName(c.Operation), Caller: callerName(c.Caller), Method: r.Method,
				Path: r.URL.Path, Resource: c.Resource, Status: c.Status, Code: c.Code, RequestID: c.RequestID, DurationMs: a.since(c.Start),
			})
		},
	}
}

func (a *Admin) since(start time.Time) float64 {
	return float64(a.clock().Sub(start).Microseconds()) / 1000
}

func operationName(name string) string {
	if name == "" {
		return "Unknown"
	}
	return name
}

func callerName(p iam.Principal) string {
	if p.Anonymous() {
		return "anonymous"
	}
	return p.ARN()
}

// messageOf is the text that goes with an injected code.
func messageOf(code string) string {
	switch {
	case strings.HasPrefix(code, "Throttling"):
		return "Request was denied due to user flow control."
	case code == faults.DefaultErrorCode:
		return "The request has failed due to a temporary failure of the server."
	case code == "InternalError":
		return "We encountered an internal error. Please try again."
	}
	return "A fault was injected by the emulator."
}

// Handler serves everything below /_emulator/.
func (a *Admin) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/_emulator/faults", a.Faults.Handler())
	mux.Handle("/_emulator/requests", a.Log.RequestsHandler())
	mux.Handle("/_emulator/counters", a.Log.CountersHandler())
	mux.HandleFunc("GET /_emulator/health", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /_emulator/api/iam", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, a.iam.Overview())
	})
	mux.HandleFunc("GET /_emulator/api/buckets", a.buckets)
	mux.HandleFunc("GET /_emulator/api/objects", a.objects)
	mux.HandleFunc("GET /_emulator/api/content", a.content)
	a.page(mux)
	return mux
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]string{"code": code, "message": message})
}
