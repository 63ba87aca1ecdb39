package signer

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/problem"
)

// DeadLetter is an event that was given up after a day of attempts.
type DeadLetter struct {
	ID        string          `json:"id"`
	UploadID  string          `json:"uploadId"`
	Type      string          `json:"type"`
	CreatedAt time.Time       `json:"createdAt"`
	Attempts  int             `json:"attempts"`
	Reason    string          `json:"reason"`
	Payload   json.RawMessage `json:"payload"`
}

// maxDeadLetters of one answer.
const maxDeadLetters = 1000

// onLoopback lets only connections to a loopback address through. In a pod that is what a port-forward
// makes, so the rights of Kubernetes guard the dead letters, which hold what users uploaded, although the
// network policy lets Prometheus in on the same port. The local address counts, not the remote one: nobody
// outside the host can connect to it, whatever a proxy in front says.
func onLoopback(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if tcp, ok := local.(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() || !direct(r) {
			problem.New(http.StatusForbidden, "loopback_only",
				"dead letters are shown on the loopback address only, by the name localhost, and to no proxy or web page: use kubectl uploads dead-letters, or kubectl port-forward").Write(w, "")
			return
		}
		next(w, r)
	}
}

// direct tells whether whoever connected asks for himself. A proxy in the pod, such as a mesh's sidecar, hands
// on over loopback what others ask. A web page open beside a port-forward reaches it too: by a name of its own
// that resolves to loopback, which Host tells, or by a POST from its own place, which Origin tells.
func direct(r *http.Request) bool {
	for _, name := range []string{"Origin", "Forwarded", "X-Forwarded-For"} {
		if len(r.Header[name]) > 0 {
			return false
		}
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// handleDeadLetters is GET /events/dead of the ops port.
func (s *Server) handleDeadLetters(w http.ResponseWriter, r *http.Request) {
	found, err := s.store.DeadLetters(r.Context(), maxDeadLetters)
	if err != nil {
		s.opsFailure(w, err)
		return
	}
	list := struct {
		Items []DeadLetter `json:"items"`
	}{make([]DeadLetter, 0, len(found))}
	for _, d := range found {
		list.Items = append(list.Items, DeadLetter{d.ID, d.UploadID, d.Type, d.CreatedAt, d.Attempts, d.Reason, d.Payload})
	}
	writeJSON(w, http.StatusOK, list)
}

// handleReplay is POST /events/replay of the ops port: {"ids":["…"]}, or {} for all dead letters.
func (s *Server) handleReplay(w http.ResponseWriter, r *http.Request) {
	var req struct {
		IDs []string `json:"ids"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err == nil && len(body) > 0 {
		err = decodeStrict(body, &req)
	}
	if err != nil {
		problem.New(http.StatusBadRequest, "invalid_json", `send {"ids":["<event id>"]}, or nothing for all dead letters`).Write(w, "")
		return
	}
	n, err := s.store.Replay(r.Context(), req.IDs)
	if err != nil {
		s.opsFailure(w, err)
		return
	}
	if s.deliverer != nil {
		s.deliverer.Wake()
	}
	writeJSON(w, http.StatusOK, map[string]int64{"replayed": n})
}

func (s *Server) opsFailure(w http.ResponseWriter, err error) {
	s.log.Error("ops request failed", "error", err)
	problem.New(http.StatusServiceUnavailable, "index_unavailable", "the index cannot be asked now").Write(w, "")
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the reader may go away
}
