package uploadsctl_test

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/test/program"
)

// kubeconfig writes a file with two contexts: here is the API server, nowhere is none.
func kubeconfig(t *testing.T, namespace string) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["here"] = &clientcmdapi.Cluster{Server: cluster.Host, CertificateAuthorityData: cluster.CAData}
	config.Clusters["nowhere"] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:1"}
	config.AuthInfos["me"] = &clientcmdapi.AuthInfo{ClientCertificateData: cluster.CertData, ClientKeyData: cluster.KeyData}
	config.Contexts["here"] = &clientcmdapi.Context{Cluster: "here", AuthInfo: "me", Namespace: namespace}
	config.Contexts["nowhere"] = &clientcmdapi.Context{Cluster: "nowhere", AuthInfo: "me"}
	config.CurrentContext = "here"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestBinary runs the plugin as kubectl does: the flags find the cluster, the exit status is the answer.
func TestBinary(t *testing.T) {
	p := newPerson(t)
	p.create(p.newTenant("album"), p.newTenant("rests"), p.newTenant("waits", withoutSecret))
	p.await("album", v1alpha1.ConditionReady, v1alpha1.ReasonAsDeclared)
	p.await("waits", v1alpha1.ConditionReady, v1alpha1.ReasonSecretNotFound)
	plugin := filepath.Join(t.TempDir(), "kubectl-uploads")
	if err := program.Build(plugin, "../cmd/kubectl-uploads"); err != nil {
		t.Fatal(err)
	}
	file := kubeconfig(t, p.Namespace)
	tests := map[string]struct {
		args   string
		status int
		stdout string
		stderr string
	}{
		"a tenant that is ready":     {"status album", 0, "is Ready", ""},
		"one that is not":            {"status waits", 1, "is not Ready", ""},
		"the namespace's":            {"status", 1, "waits is not ready", ""},
		"another namespace":          {"status -n default", 0, "", "no UploadTenant in namespace default"},
		"all namespaces":             {"status -A", 1, "NAMESPACE", ""},
		"JSON":                       {"status album -o json", 0, `"ready": "True"`, ""},
		"no such tenant":             {"status albom", 2, "", `no UploadTenant "albom" in namespace ` + p.Namespace},
		"another context":            {"status --context nowhere", 2, "", "cannot be reached; check --kubeconfig, --context"},
		"a plan of a managed tenant": {"plan album", 2, "", "managementPolicy Full"},
		"reconcile":                  {"reconcile album --timeout 1m", 0, "album is ready", ""},
		"pause":                      {"pause rests", 0, "is paused", ""},
		"doctor":                     {"doctor", 1, "FAIL  manager", ""},
		"version of the plugin":      {"version --client", 0, "kubectl-uploads", ""},
		"version of the cluster":     {"version", 0, "Kubernetes", ""},
		"orphans":                    {"orphans --refresh=false", 0, "CloudAccount default", ""},
		"names for the shell":        {"__complete status al", 0, "album", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), plugin, append(strings.Fields(tc.args), strings.Fields("--kubeconfig "+file)...)...)
			if strings.HasPrefix(tc.args, "__complete") {
				cmd = exec.CommandContext(t.Context(), plugin, strings.Fields(tc.args)...)
			}
			cmd.Env = append(cmd.Environ(), "KUBECONFIG="+file)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if got := cmd.ProcessState.ExitCode(); got != tc.status {
				t.Errorf("exit status %d, want %d", got, tc.status)
			}
			if !strings.Contains(stdout.String(), tc.stdout) || !strings.Contains(stderr.String(), tc.stderr) {
				t.Errorf("stdout:\n%s\nstderr:\n%s\nwant %q and %q", stdout.String(), stderr.String(), tc.stdout, tc.stderr)
			}
		})
	}
}
