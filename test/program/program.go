// Package program builds commands of this repository for the tests that run them.
package program

import (
	"fmt"
	"os/exec"
	"runtime/debug"
)

// Build compiles a package into file. A test that was built with the race detector builds the command so too:
// its packages are compiled by then, while those without the detector would take a cold machine minutes, and
// a race in the command is found.
func Build(file, path string) error {
	args := []string{"build", "-o", file}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-race" && s.Value == "true" {
				args = append(args, "-race")
			}
		}
	}
	if out, err := exec.Command("go", append(args, path)...).CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", path, err, out)
	}
	return nil
}
