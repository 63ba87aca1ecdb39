package demo

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1" // header signature version 1 of OSS is HMAC-SHA1
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
)

// Object sends one request about an object to OSS as the platform team, whom every bucket of the account
// obeys, and returns the status and the body. The header signature is version 1: the demo needs two verbs of
// it, and no code of the product.
func (d *Demo) Object(ctx context.Context, method, bucket, key string, content []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, CloudOSS+"/"+bucket+"/"+key, bytes.NewReader(content))
	if err != nil {
		return 0, nil, err
	}
	const kind = "application/octet-stream"
	date := d.opts.Now().UTC().Format(http.TimeFormat)
	mac := hmac.New(sha1.New, []byte(d.cloud.secret))
	fmt.Fprintf(mac, "%s\n\n%s\n%s\n/%s/%s", method, kind, date, bucket, key)
	req.Header.Set("Date", date)
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Authorization", "OSS "+d.cloud.id+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return d.send(req)
}

// HTTP returns a client that reaches Services by their names inside the cluster.
func (d *Demo) HTTP() *http.Client { return d.net.HTTP() }

// Faults tells the emulated OSS how to misbehave, as JSON; empty ends it.
func (d *Demo) Faults(ctx context.Context, faults string) error {
	method, body := http.MethodPut, io.Reader(bytes.NewReader([]byte(faults)))
	if faults == "" {
		method, body = http.MethodDelete, nil
	}
	req, err := http.NewRequestWithContext(ctx, method, CloudOSS+"/_emulator/faults", body)
	if err != nil {
		return err
	}
	status, answer, err := d.send(req)
	if err != nil {
		return err
	}
	if status >= 300 {
		return fmt.Errorf("%s /_emulator/faults answered %d: %.200s", method, status, answer)
	}
	return nil
}

// CloudSecrets are what must not be seen outside the emulator's namespace.
func (d *Demo) CloudSecrets() []string { return []string{d.cloud.id, d.cloud.secret} }
