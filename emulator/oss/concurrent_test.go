package oss_test

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/uploadtenant/uploadtenant/emulator/emulatortest"
)

// Many clients at once on few keys: every answer is a good one or an expected refusal, and what is read has the
// digest that was stored with it, however often it was replaced meanwhile.
func TestConcurrentUse(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket), emulatortest.WithDataDir(t.TempDir()))
	deadline := time.Now().Add(1500 * time.Millisecond)
	var group sync.WaitGroup
	for worker := range 6 {
		group.Add(1)
		go func() {
			defer group.Done()
			u := user{t: t, i: i, c: client(i, adminKey(i)), random: rand.New(rand.NewPCG(1, uint64(worker)))}
			for time.Now().Before(deadline) && !t.Failed() {
				u.step()
			}
		}()
	}
	group.Wait()
}

// user does one thing after the other, at random.
type user struct {
	t      *testing.T
	i      *emulatortest.Instance
	c      *sdk.Client
	random *rand.Rand
}

func (u *user) step() {
	objectKey := fmt.Sprint("k", u.random.IntN(5))
	content := strings.Repeat(fmt.Sprint(u.random.Uint64()), 1+u.random.IntN(8000)) // in memory and in files
	ctx := u.t.Context()
	switch u.random.IntN(6) {
	case 0:
		if a := post(u.t, u.i, bucket, v4Form(adminKey(u.i), time.Now(), bucket, objectKey, []byte(content))); a.Status != 204 {
			u.t.Errorf("post: %d %+v", a.Status, a.Error)
		}
	case 1:
		_, err := u.c.PutObject(ctx, &sdk.PutObjectRequest{Bucket: sdk.Ptr(bucket), Key: &objectKey, Body: strings.NewReader(content)})
		u.expect("put", err)
	case 2:
		u.read(objectKey)
	case 3:
		_, err := u.c.CopyObject(ctx, &sdk.CopyObjectRequest{Bucket: sdk.Ptr(bucket), Key: sdk.Ptr("copy"), SourceKey: &objectKey})
		u.expect("copy", err, "NoSuchKey")
	case 4:
		_, err := u.c.DeleteObject(ctx, &sdk.DeleteObjectRequest{Bucket: sdk.Ptr(bucket), Key: &objectKey})
		u.expect("delete", err)
	default:
		_, err := u.c.ListObjectsV2(ctx, &sdk.ListObjectsV2Request{Bucket: sdk.Ptr(bucket)})
		u.expect("list", err)
		u.read("copy")
	}
}

func (u *user) read(objectKey string) {
	r, err := u.c.GetObject(u.t.Context(), &sdk.GetObjectRequest{Bucket: sdk.Ptr(bucket), Key: &objectKey})
	if err != nil {
		u.expect("get", err, "NoSuchKey")
		return
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	sum := md5.Sum(body)
	if err != nil || base64.StdEncoding.EncodeToString(sum[:]) != sdk.ToString(r.ContentMD5) {
		u.t.Errorf("get %s: %d bytes that do not have their MD5, %v", objectKey, len(body), err)
	}
}

// expect fails the test unless err is nil or has one of the codes.
func (u *user) expect(what string, err error, codes ...string) {
	var e *sdk.ServiceError
	for _, code := range codes {
		if asServiceError(err, &e) && e.Code == code {
			return
		}
	}
	if err != nil {
		u.t.Errorf("%s: %v", what, err)
	}
}
