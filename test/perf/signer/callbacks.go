package main

import (
	"context"
	"crypto"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the floors insert with the same drivers
	_ "modernc.org/sqlite"

	"github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/signer/index/pgtest"
	"github.com/uploadtenant/uploadtenant/test/perf/figures"
)

// callbackCount is how many callbacks each comparison sends.
const callbackCount = 4000

// callbackKeys signs like OSS, publishes the key, and shows the objects that the callbacks speak of: the
// signer looks at each.
type callbackKeys struct {
	private *rsa.PrivateKey
	server  *httptest.Server
	tickets sync.Map // of the objects, by path
}

func newCallbackKeys() (*callbackKeys, error) {
	private, err := rsa.GenerateKey(rand.Reader, 1024) // the smallest that crypto/rsa makes; OSS has 512 bits
	if err != nil {
		return nil, err
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&private.PublicKey)})
	k := &callbackKeys{private: private}
	k.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ticket, stored := k.tickets.Load(r.URL.Path)
		if !stored {
			w.Write(public)
			return
		}
		h := w.Header()
		h["X-Oss-Meta-Ticket"] = []string{ticket.(string)}
		h["Content-Length"], h["Content-Type"], h["Etag"] = []string{"2345678"}, []string{"image/jpeg"}, []string{`"D8E8FCA2DC0F896FD7CB4CB0031BA249"`}
	}))
	return k, nil
}

// request is a complete signed callback for one grant.
func (k *callbackKeys) request(v *signer.Verdict) ([]byte, error) {
	k.tickets.Store("/bench-album/"+v.Key, v.Ticket)
	body := url.Values{"ticket": {v.Ticket}, "bucket": {"bench-album"}, "object": {v.Key}, "etag": {objectETag}, "size": {"2345678"},
		"mimeType": {"image/jpeg"}, "crc64": {"16633938635979353501"}, "contentMd5": {"2Oj8otwPiW/Xy0ywAxuiSQ=="}}.Encode()
	digest := md5.Sum([]byte("/bench/album/callback\n" + body))
	signature, err := rsa.SignPKCS1v15(nil, k.private, crypto.MD5, digest[:])
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "POST /bench/album/callback HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nX-Oss-Pub-Key-Url: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
		base64.StdEncoding.EncodeToString(signature), base64.StdEncoding.EncodeToString([]byte(k.server.URL+"/key.pem")), len(body), body), nil
}

// callbacks compares recorded callbacks with bare inserts by one client: row by row, and in batches.
func (b *bench) callbacks() error {
	if err := b.callbacksOn("sqlite", b.sqliteFloor); err != nil {
		return err
	}
	postgres, err := pgtest.New()
	if err != nil {
		return err
	}
	b.stops = append(b.stops, func() {
		if err := postgres.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
		}
	})
	dsn := postgres.DSN("postgres")
	file := filepath.Join(b.dir, "dsn")
	if err := os.WriteFile(file, []byte(dsn), 0o600); err != nil {
		return err
	}
	if err := b.world.use(config.Index{PostgresDSNFile: file}); err != nil {
		return err
	}
	return b.callbacksOn("postgres", func() (*sql.DB, error) { return sql.Open("pgx", dsn) })
}

// callbacksOn reports the signer on one database; floor opens the same kind for the bare inserts.
func (b *bench) callbacksOn(database string, floor func() (*sql.DB, error)) error {
	p, _, err := b.start()
	if err != nil {
		return err
	}
	defer p.stop()
	db, err := floor()
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	var values, singles, batches, ratios []float64
	for round := range b.rounds {
		requests, err := b.callbackRequests(p.addr)
		if err != nil {
			return err
		}
		single, err := insertFloor(db, fmt.Sprintf("floor_single_%d", round), 1)
		if err != nil {
			return err
		}
		batch, err := insertFloor(db, fmt.Sprintf("floor_batch_%d", round), floorBatch)
		if err != nil {
			return err
		}
		ours, err := recordAll(p.addr, requests)
		if err != nil {
			return err
		}
		values, singles, batches, ratios = append(values, ours), append(singles, single), append(batches, batch), append(ratios, ours/single)
	}
	name, value := "signer_callbacks_"+database, figures.Median(values)
	b.report.Add(figures.Figure{Name: name, Value: value, Unit: "callbacks/s", Floor: figures.Median(singles), Ratio: figures.Median(ratios)})
	b.report.Add(figures.Figure{Name: name + "_batched", Value: value, Unit: "callbacks/s", Floor: figures.Median(batches)})
	rss, err := residentMiB(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	b.report.Add(figures.Figure{Name: name + "_rss", Value: rss, Unit: "MiB"})
	return nil
}

// recordAll sends each request once over 64 connections and returns answers per second.
func recordAll(addr string, requests [][]byte) (float64, error) {
	var next, count atomic.Int64
	begin := time.Now()
	err := each(64, func(int) error {
		return session(context.Background(), addr, func() []byte {
			i := next.Add(1) - 1
			if i >= int64(len(requests)) {
				return nil
			}
			return requests[i]
		}, &count)
	})
	return float64(count.Load()) / time.Since(begin).Seconds(), err
}

// callbackRequests asks for grants and signs a callback for each.
func (b *bench) callbackRequests(addr string) ([][]byte, error) {
	var requests [][]byte
	file := `{"name":"a.jpg","size":2345678,"contentType":"image/jpeg"}`
	body := `{"files":[` + file + strings.Repeat(","+file, 19) + `]}`
	for len(requests) < callbackCount {
		req, err := http.NewRequest(http.MethodPost, "http://"+addr+"/v1/uploads", strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token())
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, err
		}
		raw, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return nil, err
		}
		var answer signer.UploadsResponse
		if err := json.Unmarshal(raw, &answer); err != nil {
			return nil, err
		}
		for i := range answer.Uploads {
			b.world.bucket.stored.Store(answer.Uploads[i].Key, answer.Uploads[i].Ticket)
			request, err := b.world.keys.request(&answer.Uploads[i])
			if err != nil {
				return nil, err
			}
			requests = append(requests, request)
		}
	}
	return requests, nil
}

// floorBatch rows share a transaction in the batched floor, as many as the signer's group commit takes.
const floorBatch = 64

// sqliteFloor opens a database with the signer's durability.
func (b *bench) sqliteFloor() (*sql.DB, error) {
	return sql.Open("sqlite", "file:"+filepath.Join(b.dir, "floor.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
}

// execer is a *sql.DB, where each row commits on its own, or a *sql.Tx.
type execer interface {
	Exec(query string, args ...any) (sql.Result, error)
}

// insertFloor inserts callbackCount rows with batch rows to a transaction and returns rows per second.
func insertFloor(db *sql.DB, table string, batch int) (float64, error) {
	if _, err := db.Exec(`CREATE TABLE ` + table + ` (id TEXT PRIMARY KEY, object_key TEXT, size BIGINT, content_type TEXT, created_at BIGINT)`); err != nil {
		return 0, err
	}
	insert := func(e execer, n int) error {
		_, err := e.Exec(`INSERT INTO `+table+` VALUES ($1,$2,$3,$4,$5)`, fmt.Sprintf("id-%d", n), fmt.Sprintf("album/user-1/2026/11/22/id-%d.jpg", n), 2345678, "image/jpeg", n)
		return err
	}
	begin := time.Now()
	for i := 0; i < callbackCount; i += batch {
		if batch == 1 {
			if err := insert(db, i); err != nil {
				return 0, err
			}
			continue
		}
		tx, err := db.Begin()
		if err != nil {
			return 0, err
		}
		for n := i; n < min(i+batch, callbackCount); n++ {
			if err := insert(tx, n); err != nil {
				return 0, errors.Join(err, tx.Rollback())
			}
		}
		if err := tx.Commit(); err != nil {
			return 0, err
		}
	}
	return float64(callbackCount) / time.Since(begin).Seconds(), nil
}
