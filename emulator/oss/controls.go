package oss

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

// Below /_emulator/ the server offers what a test needs and OSS has no operation for. Everything else there is
// Options.Admin's.

// bucketControls is the document of PUT /_emulator/buckets/NAME. A member that is left out changes nothing.
type bucketControls struct {
	// V1 is "refuse", "allow" or "" for what the emulator was started with.
	V1 *string `json:"v1"`
	// CNAME is a host name that leads to the bucket; "" removes it.
	CNAME *string `json:"cname"`
}

func (s *Server) serveAdmin(w http.ResponseWriter, r *http.Request) {
	bucket, isBucket := strings.CutPrefix(r.URL.Path, "/_emulator/buckets/")
	switch {
	case r.URL.Path == KeyPath && s.opts.CallbackKey != nil && r.Method == http.MethodGet:
		w.Header().Set("Content-Type", "application/x-pem-file")
		// A client that has gone away is not this server's failure.
		_, _ = w.Write(s.opts.CallbackKey.PEM())
	case isBucket && r.Method == http.MethodPut:
		s.controlBucket(w, r, bucket)
	case r.URL.Path == "/_emulator/lifecycle" && r.Method == http.MethodPost:
		report, err := s.RunLifecycle()
		if err != nil {
			http.Error(w, "the lifecycle rules could not be applied", http.StatusInternalServerError)
			s.log.Error("lifecycle", "error", err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(report) // a client that has gone away is not this server's failure
	case s.opts.Admin != nil:
		s.opts.Admin.ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) controlBucket(w http.ResponseWriter, r *http.Request, bucket string) {
	var c bucketControls
	d := json.NewDecoder(io.LimitReader(r.Body, 64<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil || c.V1 != nil && *c.V1 != "" && *c.V1 != "refuse" && *c.V1 != "allow" {
		http.Error(w, `want {"v1": "refuse"|"allow"|"", "cname": "host"}, both optional`, http.StatusBadRequest)
		return
	}
	err := s.store.UpdateBucket(bucket, func(b *store.Bucket) error {
		set := func(name string, value *string) {
			switch {
			case value == nil:
			case *value == "":
				delete(b.Config, name)
			default:
				b.Config[name] = []byte(strings.ToLower(*value))
			}
		}
		set(settingV1, c.V1)
		set(settingCNAME, c.CNAME)
		return nil
	})
	if err != nil {
		http.Error(w, "there is no bucket "+bucket, http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
