package uploadsctl

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Version of the plugin and of what it found in the cluster.
type Version struct {
	Client     string   `json:"client"`
	Go         string   `json:"go"`
	Kubernetes string   `json:"kubernetes,omitempty"`
	Managers   []string `json:"managers,omitempty"`
}

// LabelComponent tells the manager's Deployment from others of the product.
const LabelComponent = "app.kubernetes.io/component"

// ManagerLabels select the manager's Deployment, whatever its release is called.
func ManagerLabels() client.MatchingLabels {
	return client.MatchingLabels{"app.kubernetes.io/name": "uploadtenant", LabelComponent: "manager"}
}

// Managers are the Deployments that have the manager's labels. A kustomize installation has them on its pod
// template only, so the template counts.
func Managers(ctx context.Context, c client.Reader) ([]appsv1.Deployment, error) {
	var list appsv1.DeploymentList
	if err := c.List(ctx, &list); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(d appsv1.Deployment) bool {
		for key, value := range ManagerLabels() {
			if d.Spec.Template.Labels[key] != value {
				return true
			}
		}
		return false
	}), nil
}

// ManagerImage is the image that a manager runs.
func ManagerImage(d *appsv1.Deployment) string {
	for _, c := range d.Spec.Template.Spec.Containers {
		if c.Name == "manager" {
			return c.Image
		}
	}
	return "an unknown image"
}

// ClientVersion is the version of this binary.
func ClientVersion(read func() (*debug.BuildInfo, bool)) Version {
	info, ok := read()
	if !ok {
		return Version{Client: "unknown", Go: "unknown"}
	}
	v := Version{Client: info.Main.Version, Go: info.GoVersion}
	if v.Client == "" {
		v.Client = "(devel)"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && !strings.Contains(v.Client, setting.Value[:min(12, len(setting.Value))]) {
			v.Client += " " + setting.Value[:min(12, len(setting.Value))]
		}
	}
	return v
}

// PrintVersion shows the plugin's version and, unless clientOnly, the cluster's.
func (s *Session) PrintVersion(ctx context.Context, v Version, clientOnly bool, out Output) error {
	if !clientOnly {
		if err := s.serverVersion(ctx, &v); err != nil {
			return err
		}
	}
	if done, err := out.encode(s.Out, v); done {
		return err
	}
	rows := [][]string{{"kubectl-uploads", v.Client + " (" + v.Go + ")"}}
	if !clientOnly {
		rows = append(rows, []string{"Kubernetes", v.Kubernetes})
		for _, m := range v.Managers {
			rows = append(rows, []string{"manager", m})
		}
	}
	table(s.Out, rows...)
	return nil
}

func (s *Session) serverVersion(ctx context.Context, v *Version) error {
	d, err := discovery.NewDiscoveryClientForConfig(s.Config)
	if err != nil {
		return err
	}
	server, err := d.ServerVersion()
	if err != nil {
		return Explain(err)
	}
	v.Kubernetes = server.GitVersion
	managers, err := Managers(ctx, s.Client)
	if err != nil {
		fmt.Fprintf(s.Log, "the manager is left out: %v\n", err)
		return nil
	}
	if len(managers) == 0 {
		fmt.Fprintln(s.Log, "No manager was found; see: kubectl uploads doctor")
	}
	for i := range managers {
		m := &managers[i]
		v.Managers = append(v.Managers, fmt.Sprintf("%s in %s/%s", ManagerImage(m), m.Namespace, m.Name))
	}
	return nil
}
