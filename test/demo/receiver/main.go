// Command receiver is the application's side of events in the demo and the end-to-end tests: it verifies the
// Standard Webhooks signature of every delivery with the library that an application would use, and shows
// what came on GET /events.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// maxEvent and keep bound what the receiver takes in and remembers.
const (
	maxEvent = 1 << 20
	keep     = 1000
)

// delivery is one request that came in.
type delivery struct {
	ID         string          `json:"id"`
	Timestamp  string          `json:"timestamp"`
	Signature  string          `json:"signature"`
	Verified   bool            `json:"verified"`
	Problem    string          `json:"problem,omitempty"`
	ReceivedAt time.Time       `json:"receivedAt"`
	Body       json.RawMessage `json:"body,omitempty"`
}

// receiver verifies and remembers deliveries.
type receiver struct {
	webhook *standardwebhooks.Webhook
	log     *slog.Logger
	now     func() time.Time

	mu         sync.Mutex
	deliveries []delivery
}

func main() {
	addr := flag.String("addr", ":8080", "`address` to listen on")
	secretFile := flag.String("secret-file", "", "`file` with the signing secret (whsec_...)")
	flag.Parse()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	if err := run(*addr, *secretFile, log); err != nil {
		log.Error("Receiver failed", "error", err.Error())
		os.Exit(1)
	}
}

func run(addr, secretFile string, log *slog.Logger) error {
	secret, err := os.ReadFile(secretFile)
	if err != nil {
		return fmt.Errorf("read the signing secret: %w", err)
	}
	webhook, err := standardwebhooks.NewWebhook(strings.TrimSpace(string(secret)))
	if err != nil {
		return errors.New("the signing secret is not whsec_ and base64")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := &receiver{webhook: webhook, log: log, now: time.Now}
	server := &http.Server{Addr: addr, Handler: r.handler(), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (r *receiver) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /hooks/uploads", r.receive)
	mux.HandleFunc("GET /events", r.list)
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	return mux
}

// receive answers 204 to a delivery whose signature verifies and 401 to any other.
func (r *receiver) receive(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxEvent))
	if err != nil {
		http.Error(w, "body too large", http.StatusRequestEntityTooLarge)
		return
	}
	d := delivery{
		ID: req.Header.Get("webhook-id"), Timestamp: req.Header.Get("webhook-timestamp"),
		Signature: req.Header.Get("webhook-signature"), ReceivedAt: r.now(),
	}
	if json.Valid(body) {
		d.Body = body
	}
	if err := r.webhook.Verify(body, req.Header); err != nil {
		d.Problem = err.Error()
	} else {
		d.Verified = true
	}
	r.remember(d)
	r.log.Info("Event received", "id", d.ID, "verified", d.Verified, "problem", d.Problem)
	if !d.Verified {
		http.Error(w, "signature does not verify", http.StatusUnauthorized)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (r *receiver) remember(d delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deliveries = append(r.deliveries, d)
	r.deliveries = r.deliveries[max(0, len(r.deliveries)-keep):]
}

func (r *receiver) list(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(map[string]any{"items": r.deliveries}); err != nil {
		r.log.Error("Answer was not written", "error", err.Error())
	}
}
