package signer

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Ops is the handler of the second port: /healthz, /readyz and /metrics for the pod network, and the dead
// letters for loopback alone. It is not for the internet. A signer is ready when it has credentials and has
// reached its index once.
func (s *Server) Ops() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeState(w, http.StatusOK, "ok", "") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			writeState(w, http.StatusServiceUnavailable, "draining", "the process is about to end")
			return
		}
		if err := s.live.Load().granter.ready(); err != nil {
			writeState(w, http.StatusServiceUnavailable, "no credentials", err.Error())
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		err := s.store.Ping(ctx)
		switch {
		case err == nil:
			s.health.reached.Store(true)
			writeState(w, http.StatusOK, "ok", "")
		case s.health.reached.Load():
			// Taking every replica out of the Service would end grants, which need no index, and help no callback.
			writeState(w, http.StatusOK, "index unavailable", err.Error())
		default:
			writeState(w, http.StatusServiceUnavailable, "index unavailable", err.Error())
		}
	})
	mux.HandleFunc("GET /events/dead", onLoopback(s.handleDeadLetters))
	mux.HandleFunc("POST /events/replay", onLoopback(s.handleReplay))
	mux.Handle("GET /metrics", s.metrics.Handler())
	return mux
}

// Drain makes readiness fail, so that no new connection is sent here; requests are still answered, and each
// answer ends its connection.
func (s *Server) Drain() { s.draining.Store(true) }

func writeState(w http.ResponseWriter, status int, state, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A prober that has gone away needs no answer.
	_ = json.NewEncoder(w).Encode(map[string]string{"status": state, "reason": reason})
}
