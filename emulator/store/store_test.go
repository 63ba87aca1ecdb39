package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

const bucket = "bucket"

func open(tb testing.TB, dir string) *store.Store {
	tb.Helper()
	s, err := store.Open(store.Options{Dir: dir})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func withBucket(tb testing.TB, s *store.Store) *store.Store {
	tb.Helper()
	if err := s.CreateBucket(store.Bucket{Name: bucket}); err != nil {
		tb.Fatal(err)
	}
	return s
}

func put(tb testing.TB, s *store.Store, key, content string) *store.Object {
	tb.Helper()
	body, err := s.NewBody()
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := body.Write([]byte(content)); err != nil {
		tb.Fatal(err)
	}
	o, err := s.PutObject(store.Put{Bucket: bucket, Object: store.Object{Key: key, Type: store.TypeNormal}, Body: body})
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

func content(tb testing.TB, s *store.Store, key, version string) string {
	tb.Helper()
	_, r, err := s.OpenObject(bucket, key, version)
	if err != nil {
		return err.Error()
	}
	defer r.Close()
	var b strings.Builder
	if err := r.CopyRange(&b, 0, r.Size()); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

func TestReopenFindsEverything(t *testing.T) {
	dir := t.TempDir()
	s := withBucket(t, open(t, dir))
	large := strings.Repeat("large", 100_000)
	put(t, s, "small", "a")
	put(t, s, "large", large)
	put(t, s, "gone", "x")
	put(t, s, "replaced", "old")
	put(t, s, "replaced", "new")
	put(t, s, "empty", "")
	if _, err := s.DeleteObject(bucket, "gone", ""); err != nil {
		t.Fatal(err)
	}
	u, err := s.CreateUpload(bucket, store.Object{Key: "parts"}, false)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := s.NewBody()
	body.Write([]byte("part one"))
	if _, err := s.PutPart(bucket, "parts", u.ID, 1, body); err != nil {
		t.Fatal(err)
	}
	if err := s.SetAccountSetting("a", []byte("b")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, dir)
	defer s.Close()
	for key, want := range map[string]string{
		"small": "a", "large": large, "gone": store.ErrNoSuchKey.Error(), "replaced": "new", "empty": "",
	} {
		if got := content(t, s, key, ""); got != want {
			t.Errorf("%s = %.40q, want %.40q", key, got, want)
		}
	}
	_, parts, err := s.UploadParts(bucket, "parts", u.ID)
	if err != nil || len(parts) != 1 || parts[0].Size != 8 {
		t.Errorf("parts = %v, %v", parts, err)
	}
	if string(s.AccountSetting("a")) != "b" {
		t.Error("account setting is lost")
	}
	blobs, err := os.ReadDir(filepath.Join(dir, "blobs"))
	if err != nil || len(blobs) != 4 {
		t.Errorf("%d blobs, %v; want those of small, large, replaced and the part", len(blobs), err)
	}
}

func TestTornTailIsDropped(t *testing.T) {
	dir := t.TempDir()
	s := withBucket(t, open(t, dir))
	put(t, s, "a", "1")
	s.Close()
	journal := filepath.Join(dir, "journal")
	whole, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	for cut := 1; cut < 60; cut++ {
		if err := os.WriteFile(journal, append(whole, whole[len(whole)-60:len(whole)-cut]...), 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir)
		if got := content(t, s, "a", ""); got != "1" {
			t.Fatalf("cut %d: a = %q", cut, got)
		}
		s.Close()
	}
}

func TestOneProcessPerDirectory(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	if _, err := store.Open(store.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second open: %v, want a refusal", err)
	}
}

func TestAbortedBodyLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := withBucket(t, open(t, dir))
	defer s.Close()
	body, _ := s.NewBody()
	body.Write(make([]byte, 1<<20))
	body.Abort()
	for _, sub := range []string{"tmp", "blobs"} {
		if left, _ := os.ReadDir(filepath.Join(dir, sub)); len(left) != 0 {
			t.Errorf("%s holds %d files", sub, len(left))
		}
	}
}

func TestTemporaryDirectoriesOfKilledProcessesAreRemoved(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	alive := withBucket(t, open(t, ""))
	defer alive.Close()
	abandoned := filepath.Join(tmp, "oss-emulator-1")
	if err := os.MkdirAll(abandoned, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(abandoned, "lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	second := open(t, "")
	if _, err := os.Stat(abandoned); !os.IsNotExist(err) {
		t.Errorf("the abandoned folder is still there: %v", err)
	}
	large := strings.Repeat("x", 1<<20)
	put(t, alive, "k", large)
	if got := content(t, alive, "k", ""); got != large {
		t.Error("the folder of a living store was touched")
	}
	second.Close()
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 1 {
		t.Errorf("%d folders are left, %v; want the one in use", len(left), err)
	}
}

func TestReaderOutlivesItsObject(t *testing.T) {
	for name, text := range map[string]string{"in memory": "short", "in a file": strings.Repeat("x", 1<<20)} {
		t.Run(name, func(t *testing.T) {
			s := withBucket(t, open(t, ""))
			defer s.Close()
			put(t, s, "k", text)
			_, r, err := s.OpenObject(bucket, "k", "")
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := s.DeleteObject(bucket, "k", ""); err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			if err := r.CopyRange(&b, 0, r.Size()); err != nil || b.String() != text {
				t.Errorf("read %d bytes, %v", b.Len(), err)
			}
		})
	}
}

func TestVersions(t *testing.T) {
	s := withBucket(t, open(t, ""))
	defer s.Close()
	put(t, s, "k", "null one")
	version := func(state string) {
		if err := s.UpdateBucket(bucket, func(b *store.Bucket) error { b.Versioning = state; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	version(store.VersioningEnabled)
	v1, v2 := put(t, s, "k", "one").VersionID, put(t, s, "k", "two").VersionID
	d, err := s.DeleteObject(bucket, "k", "")
	if err != nil || !d.DeleteMarker || d.VersionID == "" {
		t.Fatalf("delete = %+v, %v", d, err)
	}
	for id, want := range map[string]string{v1: "one", v2: "two", store.NullVersion: "null one"} {
		if got := content(t, s, "k", id); got != want {
			t.Errorf("version %s = %q, want %q", id, got, want)
		}
	}
	if page, _ := s.ListObjects(bucket, store.List{Max: 10}); len(page.Objects) != 0 {
		t.Errorf("listed %d objects below a delete marker", len(page.Objects))
	}
	if _, err := s.DeleteObject(bucket, "k", d.VersionID); err != nil {
		t.Fatal(err)
	}
	if got := content(t, s, "k", ""); got != "two" {
		t.Errorf("without the marker = %q, want two", got)
	}
	version(store.VersioningSuspended)
	put(t, s, "k", "null two")
	page, _ := s.ListVersions(bucket, store.List{Max: 10})
	var got []string
	for _, o := range page.Objects {
		got = append(got, o.VersionID)
	}
	if d := cmp.Diff([]string{store.NullVersion, v2, v1}, got); d != "" {
		t.Errorf("versions (-want +got):\n%s", d)
	}
}

func TestForbidOverwrite(t *testing.T) {
	s := withBucket(t, open(t, ""))
	defer s.Close()
	try := func() error {
		body, _ := s.NewBody()
		_, err := s.PutObject(store.Put{Bucket: bucket, Object: store.Object{Key: "k"}, Body: body, ForbidOverwrite: true})
		return err
	}
	if err := try(); err != nil {
		t.Fatal(err)
	}
	if err := try(); !errors.Is(err, store.ErrExists) {
		t.Errorf("error = %v, want ErrExists", err)
	}
}

// Whatever the page size, the pages together list each key and each common prefix once and in order.
func TestPagesAreTheWhole(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := withBucket(t, open(t, ""))
		defer s.Close()
		keys := rapid.SliceOfN(rapid.StringMatching(`[ab]{1,2}(/[ab]{1,2}){0,2}/?`), 0, 20).Draw(rt, "keys")
		for _, k := range keys {
			put(t, s, k, k)
		}
		l := store.List{
			Prefix: rapid.SampledFrom([]string{"", "a", "a/", "b"}).Draw(rt, "prefix"), Delimiter: rapid.SampledFrom([]string{"", "/"}).Draw(rt, "delimiter"), Max: 1000,
		}
		whole := listAll(rt, s, l)
		l.Max = rapid.IntRange(1, 5).Draw(rt, "max")
		if d := cmp.Diff(whole, listAll(rt, s, l)); d != "" {
			rt.Errorf("pages of %d (-whole +pages):\n%s", l.Max, d)
		}
	})
}

func listAll(t *rapid.T, s *store.Store, l store.List) []string {
	var out []string
	for {
		page, err := s.ListObjects(bucket, l)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Objects {
			out = append(out, "key "+o.Key)
		}
		for _, p := range page.Prefixes {
			out = append(out, "prefix "+p)
		}
		if !page.Truncated {
			break
		}
		l.After = page.Next
	}
	// Within a page objects come before prefixes, so only the set is compared.
	seen := map[string]bool{}
	for _, e := range out {
		if seen[e] {
			t.Fatalf("%s is listed twice", e)
		}
		seen[e] = true
	}
	sorted := make([]string, 0, len(out))
	sorted = append(sorted, out...)
	for i := range sorted {
		for j := i + 1; j < len(sorted); j++ {
			if sorted[j] < sorted[i] {
				sorted[i], sorted[j] = sorted[j], sorted[i]
			}
		}
	}
	return sorted
}

func TestJournalIsCompacted(t *testing.T) {
	dir := t.TempDir()
	s := withBucket(t, open(t, dir))
	put(t, s, "k", "content")
	for n := range 1100 {
		if err := s.SetAccountSetting("n", fmt.Append(nil, n)); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	info, err := os.Stat(filepath.Join(dir, "journal"))
	if err != nil || info.Size() > 20_000 {
		t.Errorf("journal has %d bytes after 1100 changes of one setting, %v", info.Size(), err)
	}
	s = open(t, dir)
	defer s.Close()
	if got := content(t, s, "k", ""); got != "content" || string(s.AccountSetting("n")) != "1099" {
		t.Errorf("after compaction: %q, %s", got, s.AccountSetting("n"))
	}
}
