// Package image makes container images from one static binary each, without
// a container engine. The same input gives the same bytes: every timestamp is
// fixed and every file is written in a fixed order.
package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// User is the number that images run as: "nonroot" of the distroless images,
// which cluster policies commonly know.
const User = 65532

// epoch is the time of every file and image. It is not 1970, because some
// scanners take that for a broken date.
var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// Spec says what an image is made of.
type Spec struct {
	Binary string            // path of a static binary; it becomes /<base name>
	Arch   string            // GOARCH of the binary
	Labels map[string]string // org.opencontainers.image.* labels
	Root   bool              // run as root; only node infrastructure needs that
	Ports  []string          // documentation: "8080/tcp"
}

// Build returns an image with no shell and no package manager: the binary, a
// CA bundle, the user entry, /tmp and nothing else.
func Build(s Spec) (v1.Image, error) {
	base, err := layer(baseFiles())
	if err != nil {
		return nil, fmt.Errorf("make the base layer: %w", err)
	}
	data, err := os.ReadFile(s.Binary)
	if err != nil {
		return nil, fmt.Errorf("read the binary: %w", err)
	}
	entry := "/" + filepath.Base(s.Binary)
	app, err := layer([]file{{name: entry, mode: 0o755, data: data}})
	if err != nil {
		return nil, fmt.Errorf("make the layer of %s: %w", entry, err)
	}
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	if img, err = mutate.Append(img,
		mutate.Addendum{Layer: base, History: v1.History{CreatedBy: "base files", Created: v1.Time{Time: epoch}}},
		mutate.Addendum{Layer: app, History: v1.History{CreatedBy: entry, Created: v1.Time{Time: epoch}}},
	); err != nil {
		return nil, err
	}
	return configure(img, s, entry)
}

func configure(img v1.Image, s Spec, entry string) (v1.Image, error) {
	cfg, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	cfg = cfg.DeepCopy()
	cfg.Architecture, cfg.OS, cfg.Created = s.Arch, "linux", v1.Time{Time: epoch}
	cfg.Config.Entrypoint = []string{entry}
	cfg.Config.Env = []string{"PATH=/", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"}
	cfg.Config.WorkingDir = "/"
	cfg.Config.Labels = s.Labels
	if !s.Root {
		cfg.Config.User = fmt.Sprintf("%d:%d", User, User)
	}
	for _, p := range s.Ports {
		if cfg.Config.ExposedPorts == nil {
			cfg.Config.ExposedPorts = map[string]struct{}{}
		}
		cfg.Config.ExposedPorts[p] = struct{}{}
	}
	return mutate.ConfigFile(img, cfg)
}

// Save writes a tarball that `docker load` and `ctr images import` read, with
// the image under every given reference. The file appears by a rename, so that
// a reader never sees half of one.
func Save(path string, img v1.Image, refs ...string) error {
	images := map[name.Tag]v1.Image{}
	for _, ref := range refs {
		tag, err := name.NewTag(ref)
		if err != nil {
			return fmt.Errorf("image name %q: %w", ref, err)
		}
		images[tag] = img
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp := path + ".partial"
	defer func() { _ = os.Remove(tmp) }() // gone already when all went well
	if err := tarball.MultiWriteToFile(tmp, images); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(tmp, path)
}

// file is one entry of a layer; a name that ends in a slash is a folder.
type file struct {
	name string
	mode int64
	data []byte
}

func baseFiles() []file {
	passwd := fmt.Sprintf("root:x:0:0:root:/:/sbin/nologin\nnonroot:x:%[1]d:%[1]d:nonroot:/:/sbin/nologin\n", User)
	group := fmt.Sprintf("root:x:0:\nnonroot:x:%d:\n", User)
	return []file{
		{name: "/etc/", mode: 0o755},
		{name: "/etc/group", mode: 0o644, data: []byte(group)},
		{name: "/etc/passwd", mode: 0o644, data: []byte(passwd)},
		{name: "/etc/ssl/", mode: 0o755},
		{name: "/etc/ssl/certs/", mode: 0o755},
		{name: "/etc/ssl/certs/ca-certificates.crt", mode: 0o644, data: caBundle()},
		{name: "/tmp/", mode: 0o1777},
	}
}

// caBundle is Mozilla's list as the Go project publishes it. Roots that are
// trusted only under a constraint are left out: a PEM file cannot say so.
func caBundle() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			// Writing to a bytes.Buffer does not fail.
			_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
		}
	}
	return out.Bytes()
}

func layer(files []file) (v1.Layer, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{
			Name: path.Clean(f.name)[1:], Mode: f.mode, Size: int64(len(f.data)),
			ModTime: epoch, Typeflag: tar.TypeReg, Format: tar.FormatPAX,
		}
		if f.name[len(f.name)-1] == '/' {
			h.Typeflag = tar.TypeDir
			h.Name += "/"
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(out.Bytes())), nil
	},
		// The images are loaded far more often than they are sent over a network.
		tarball.WithCompressionLevel(gzip.BestSpeed),
		tarball.WithMediaType(types.OCILayer),
	)
}
