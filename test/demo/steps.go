package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// Names of everything the demo puts into a cluster.
const (
	CloudNamespace    = "alibaba-cloud"       // the emulator
	OperatorNamespace = "uploadtenant-system" // the operator
	AppNamespace      = "family"              // the application team, its tenant and its receiver
	Tenant            = "album"
	Release           = "uploadtenant"
	SignerService     = "album-signer"
	AccountID         = "1234567890123456"
	Region            = "cn-hangzhou"

	// marker is the label of namespaces that the demo made, and therefore may remove.
	marker = "uploadtenant.io/demo"
)

// Options of a demo.
type Options struct {
	// Root of the checkout: where the go commands run and the samples and the chart lie.
	Root string
	// Kubeconfig of an existing cluster; empty starts the local one of hack/cluster.
	Kubeconfig string
	// Registry that an existing cluster pulls from; needed with Kubeconfig.
	Registry string
	// Out receives what a person reads.
	Out io.Writer
	// Now tells the time.
	Now func() time.Time
}

// Demo is one run. Its steps must be taken in order.
type Demo struct {
	opts   Options
	local  bool
	config *rest.Config
	client client.Client
	net    *Network
	images map[string]string // name of a product -> image reference

	cloud   cloudKey
	issuer  string
	secrets appSecrets
	uploads []Upload
}

// Upload is one file that the demo has uploaded.
type Upload struct {
	ID, Key, Name, ContentType, MD5 string
	Size                            int
}

// New returns a demo that has done nothing yet.
func New(opts Options) (*Demo, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	d := &Demo{opts: opts, local: opts.Kubeconfig == "", images: map[string]string{}}
	if !d.local && opts.Registry == "" {
		return nil, errors.New("KUBECONFIG names a cluster, which must pull the images from somewhere: set DEMO_REGISTRY to a registry " +
			"and path that you may push to and the cluster may pull from, for example DEMO_REGISTRY=registry.cn-hangzhou.aliyuncs.com/my-team. " +
			"To use a cluster on this machine instead: env -u KUBECONFIG make demo")
	}
	return d, nil
}

// Step is one thing that a person watches.
type Step struct {
	Title string
	Run   func(context.Context) error
	// Look are commands that help when the step fails.
	Look []string
}

// Install lists the steps from nothing to a tenant that is Ready.
func (d *Demo) Install() []Step {
	return []Step{
		{"A Kubernetes cluster", d.startCluster, []string{"make cluster-up", "ls ~/.cache/uploadtenant/cluster/log"}},
		{"Images of manager, signer, emulator and the demo's receiver", d.buildImages, []string{"go run -C hack/images ."}},
		{"Alibaba Cloud, emulated in the cluster", d.deployCloud, look(CloudNamespace, "deployment/emulator")},
		{"Once per account: the platform team registers the cluster and the manager's role in RAM", d.prepareAccount, look(CloudNamespace, "deployment/emulator")},
		{"The operator, with helm", d.installOperator, look(OperatorNamespace, "deployment/"+Release)},
		{"The application: namespace, secrets, receiver of events", d.deployApplication, look(AppNamespace, "deployment/album-app")},
		{"One YAML: kubectl apply of the UploadTenant", d.applyTenant, []string{
			"kubectl -n " + AppNamespace + " describe uploadtenant " + Tenant,
			"kubectl -n " + OperatorNamespace + " logs deployment/" + Release,
			"kubectl -n " + AppNamespace + " logs deployment/" + SignerService,
		}},
	}
}

// Use lists the steps that use the tenant.
func (d *Demo) Use() []Step {
	signer := append(look(AppNamespace, "deployment/"+SignerService), "kubectl -n "+CloudNamespace+" logs deployment/emulator")
	return []Step{
		{"Upload a JPEG photo and a PNG, as a mini-program does", d.upload, signer},
		{"What is refused", d.refusals, signer},
		{"The record of the uploads", d.showRecords, signer},
		{"The events that the application got", d.showEvents, append(signer, look(AppNamespace, "deployment/album-app")...)},
		{"The RAM role and policy of the tenant", d.showAccess, signer},
		{"How to look further", d.showMore, nil},
	}
}

func look(namespace, workload string) []string {
	return []string{
		"kubectl -n " + namespace + " get pods,events",
		"kubectl -n " + namespace + " describe " + workload,
		"kubectl -n " + namespace + " logs " + workload,
	}
}

// Run takes steps one after the other and prints the time of each. A step that fails ends the run with what
// to look at.
func (d *Demo) Run(ctx context.Context, steps []Step) error {
	for i, s := range steps {
		fmt.Fprintf(d.opts.Out, "\n== %d/%d  %s\n", i+1, len(steps), s.Title)
		began := d.opts.Now()
		err := s.Run(ctx)
		took := d.opts.Now().Sub(began).Round(100 * time.Millisecond)
		if err != nil {
			return d.failed(s, took, err)
		}
		fmt.Fprintf(d.opts.Out, "   done in %v\n", took)
	}
	return nil
}

func (d *Demo) failed(s Step, took time.Duration, err error) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: failed after %v\n  %v\n", s.Title, took, err)
	if len(s.Look) > 0 {
		b.WriteString("Look at:\n")
		if d.config != nil {
			fmt.Fprintf(&b, "  %s\n", d.environment())
		}
		for _, l := range s.Look {
			fmt.Fprintf(&b, "  %s\n", l)
		}
	}
	b.WriteString("Then run the same command again: every step continues where it can.")
	return errors.New(b.String())
}

// say prints one line below the title of a step.
func (d *Demo) say(format string, args ...any) {
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\n   ")
	fmt.Fprintf(d.opts.Out, "   %s\n", text)
}

// Client returns a client for the cluster, after the first step.
func (d *Demo) Client() client.Client { return d.client }

// Image returns the reference of a product's image in the cluster, after the second step.
func (d *Demo) Image(product string) string { return d.images[product] }

// Local tells whether the cluster is the one of hack/cluster on this machine.
func (d *Demo) Local() bool { return d.local }

// ForwardPod opens a way to a port of one pod, as `kubectl port-forward` does.
func (d *Demo) ForwardPod(ctx context.Context, namespace, pod string, port int32) (address string, stop func(), err error) {
	f, err := d.net.open(ctx, namespace, pod, port)
	if err != nil {
		return "", nil, err
	}
	return f.local, f.close, nil
}

// Token is what the application gives its signed-in user; it is good for an hour.
func (d *Demo) Token() string { return d.token(user) }

// Config returns what reaches the cluster, after the first step.
func (d *Demo) Config() *rest.Config { return d.config }

// Uploads returns what the last upload step uploaded.
func (d *Demo) Uploads() []Upload { return d.uploads }

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme))
}
