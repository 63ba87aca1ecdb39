package oss_test

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator/emulatortest"
)

func BenchmarkPostObject(b *testing.B) {
	for name, size := range map[string]int{"1KiB": 1 << 10, "1MiB": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			i := emulatortest.Start(b, emulatortest.WithBuckets(bucket))
			contentType, body := v4Form(adminKey(i), time.Now(), bucket, "k", make([]byte, size)).body(b)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				req, _ := http.NewRequest(http.MethodPost, i.OSSURL+"/"+bucket, bytes.NewReader(body))
				req.Header.Set("Content-Type", contentType)
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					b.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusNoContent {
					b.Fatal(resp.Status)
				}
			}
		})
	}
}
