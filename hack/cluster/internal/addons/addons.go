// Package addons packs and describes what runs in every cluster from the
// start: the pause container and the name server.
package addons

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/uploadtenant/uploadtenant/hack/cluster/internal/build"
	"github.com/uploadtenant/uploadtenant/hack/images/image"
)

//go:embed coredns.yaml
var manifest string

// Images writes the image tarballs of the add-ons into dir, unless they are
// there already, and returns their paths. They are named after the cache
// folders of their binaries, whose names are keys over all they are made of.
func Images(set build.Set, dir, pauseRef, corednsRef string) ([]string, error) {
	var paths []string
	for _, a := range []struct{ binary, ref string }{{"pause", pauseRef}, {"coredns", corednsRef}} {
		binary, err := filepath.EvalSymlinks(set.Path(a.binary))
		if err != nil {
			return nil, err
		}
		path := filepath.Join(dir, filepath.Base(filepath.Dir(binary))+".tar")
		paths = append(paths, path)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		img, err := image.Build(image.Spec{
			Binary: binary, Arch: runtime.GOARCH,
			Labels: map[string]string{"org.opencontainers.image.title": a.binary},
		})
		if err != nil {
			return nil, fmt.Errorf("pack %s: %w", a.binary, err)
		}
		if err := image.Save(path, img, a.ref); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// Manifest returns the objects of the add-ons.
func Manifest(corednsRef, dnsAddress string) string {
	return strings.NewReplacer("${COREDNS}", corednsRef, "${DNS}", dnsAddress).Replace(manifest)
}
