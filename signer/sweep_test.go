package signer

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/signer/ticket"
)

// bucketServer lists objects, shows their headers, and refuses what a test wants refused.
type bucketServer struct {
	objects map[string]http.Header
	refused map[string]bool // method and key
}

// ServeHTTP implements http.Handler.
func (b *bucketServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const bucket = "/family-album/"
	key := r.URL.Path[len(bucket):]
	switch {
	case b.refused[r.Method+" "+key]:
		w.WriteHeader(http.StatusForbidden)
	case key == "":
		b.list(w, r.URL.Query().Get("start-after"))
	case r.Method == http.MethodHead:
		for name, values := range b.objects[key] {
			w.Header()[name] = values
		}
	}
}

// list answers with one key a page.
func (b *bucketServer) list(w http.ResponseWriter, after string) {
	var rest []string
	for key := range b.objects {
		if key > after {
			rest = append(rest, key)
		}
	}
	slices.Sort(rest)
	fmt.Fprintf(w, "<ListBucketResult><IsTruncated>%t</IsTruncated>", len(rest) > 1)
	if len(rest) > 0 {
		fmt.Fprintf(w, "<Contents><Key>%s</Key><ETag>E</ETag><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>", rest[0])
	}
	fmt.Fprint(w, "</ListBucketResult>")
}

// put makes an object as an upload of user would.
func (b *bucketServer) put(s *Server, user, id string) {
	key := "album/" + user + "/" + id + ".jpg"
	sealed := s.tickets.Seal(&ticket.Ticket{ID: id, User: user, Key: key, Type: "image/jpeg", Size: 5})
	b.objects[key] = http.Header{"X-Oss-Meta-Ticket": {sealed}, "Content-Length": {"5"}, "Content-Type": {"image/jpeg"}}
}

// sweepFixture is a server whose sweeper a test runs round by round.
func sweepFixture(t *testing.T) (*bucketServer, *sweeper) {
	t.Helper()
	b := &bucketServer{objects: map[string]http.Header{}, refused: map[string]bool{}}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	f := newFixture(t, func(c *config.Config) { c.Bucket.Endpoint = server.URL })
	f.stop()
	s, err := New(context.Background(), Options{Config: f.cfg, Credentials: f.credentials})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	sweeper := newSweeper(s)
	sweeper.pageSize = 1
	return b, sweeper
}

func (s *sweeper) pass(t *testing.T) {
	t.Helper()
	for again := true; again; {
		var err error
		if again, err = s.round(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *sweeper) recorded(t *testing.T, user string) int {
	t.Helper()
	list, err := s.store.List(t.Context(), user, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// An object that OSS refuses to delete or to show must not keep those that follow it from being recorded.
func TestOneStubbornObjectDoesNotStopTheSweeper(t *testing.T) {
	b, s := sweepFixture(t)
	id := func() string { return ticket.NewID(time.Now()) }
	leftover, hidden := id(), id()
	b.put(s.Server, "alice", leftover)
	s.pass(t)
	if _, err := s.store.Delete(t.Context(), "alice", leftover, nil); err != nil {
		t.Fatal(err)
	}
	b.put(s.Server, "bob", hidden)
	b.put(s.Server, "carol", id())
	b.refused["DELETE album/alice/"+leftover+".jpg"] = true
	b.refused["HEAD album/bob/"+hidden+".jpg"] = true
	s.pass(t)
	if got := s.recorded(t, "carol"); got != 1 {
		t.Errorf("%d records behind the stubborn objects, want 1", got)
	}
	delete(b.refused, "HEAD album/bob/"+hidden+".jpg")
	s.pass(t)
	if got := s.recorded(t, "bob"); got != 1 {
		t.Errorf("%d records of the object that can be read again, want 1", got)
	}
}
