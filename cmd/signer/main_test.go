package main

import (
	"os/exec"
	"strings"
	"testing"
)

// The signer faces the internet: its binary holds neither Kubernetes nor an SDK.
func TestTheSignerLinksNoKubernetesAndNoSDK(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		for _, banned := range []string{"k8s.io/", "sigs.k8s.io/", "github.com/aliyun/", "github.com/uploadtenant/uploadtenant/api", "github.com/uploadtenant/uploadtenant/cloud", "github.com/uploadtenant/uploadtenant/controllers"} {
			if strings.HasPrefix(dep, banned) {
				t.Errorf("the signer depends on %s", dep)
			}
		}
	}
}
