package image

import (
	"archive/tar"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func binary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "signer")
	if err := os.WriteFile(path, []byte("\x7fELF"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// The image holds the binary, certificates and the user, and no way to run
// anything else.
func TestImageHoldsOnlyWhatIsNeeded(t *testing.T) {
	img, err := Build(Spec{Binary: binary(t), Arch: "amd64", Labels: map[string]string{"a": "b"}, Ports: []string{"8080/tcp"}})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	layers := mutate.Extract(img)
	defer layers.Close()
	for r := tar.NewReader(layers); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(epoch) {
			t.Errorf("%s has the time %v, want %v: the image must be reproducible", h.Name, h.ModTime, epoch)
		}
		if h.Typeflag == tar.TypeReg {
			if files[h.Name], err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := []string{"etc/group", "etc/passwd", "etc/ssl/certs/ca-certificates.crt", "signer"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(files))); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(files["etc/ssl/certs/ca-certificates.crt"]) {
		t.Error("the CA bundle has no certificate")
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Config.User != "65532:65532" || !slices.Equal(cfg.Config.Entrypoint, []string{"/signer"}) || cfg.Config.Labels["a"] != "b" {
		t.Errorf("config = %+v, want user 65532, entry point /signer and the label", cfg.Config)
	}
}

func TestSameInputSameDigest(t *testing.T) {
	spec := Spec{Binary: binary(t), Arch: "amd64"}
	var digests []string
	for range 2 {
		img, err := Build(spec)
		if err != nil {
			t.Fatal(err)
		}
		d, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, d.String())
	}
	if digests[0] != digests[1] {
		t.Errorf("digests differ: %v", digests)
	}
}

func TestSaveIsLoadable(t *testing.T) {
	img, err := Build(Spec{Binary: binary(t), Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "out", "signer.tar")
	if err := Save(path, img, "docker.io/uploadtenant/signer:dev", "docker.io/uploadtenant/signer:dev-1"); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"docker.io/uploadtenant/signer:dev", "docker.io/uploadtenant/signer:dev-1"} {
		tag, err := name.NewTag(ref)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tarball.ImageFromPath(path, &tag); err != nil {
			t.Errorf("the tarball does not hold the image as %s: %v", ref, err)
		}
	}
	if err := Save(path, img, "not a name"); err == nil {
		t.Error("Save() with a wrong image name = nil, want an error")
	}
}
