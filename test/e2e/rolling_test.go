//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/signer/index"
	"github.com/uploadtenant/uploadtenant/signer/index/pgtest"
	"github.com/uploadtenant/uploadtenant/test/demo"
)

// Names of what the tests of a tenant with several replicas make.
const (
	rollingTenant = "rolling"
	rollingBucket = "e2e-rolling"
	rollingPrefix = "rolling/"
	rollingSigner = rollingTenant + "-signer"
	firstLoad     = "e2e-load-1"
	secondLoad    = "e2e-load-2"
	// hostAddress is where pods of the local cluster reach this machine.
	hostAddress = "10.99.0.1"
)

// database is a PostgreSQL that pods reach over TCP with TLS and a password: one on this machine for the
// local cluster, and for another cluster the one that E2E_POSTGRES names.
func database(t *testing.T) (url string, ca []byte, query string) {
	t.Helper()
	if !d.Local() {
		url := os.Getenv("E2E_POSTGRES")
		if url == "" {
			t.Fatal("E2E_POSTGRES must hold the URL of an empty PostgreSQL database that both the cluster's pods and this test reach")
		}
		return url, nil, url
	}
	server := pgtest.Start(t)
	remote, err := server.Listen(t.Context(), hostAddress)
	if err != nil {
		t.Fatal(err)
	}
	return remote.URL + "&sslrootcert=/etc/uploadtenant/secrets/index/ca.crt", remote.CA, server.DSN("uploads")
}

// A tenant grows from one replica with the embedded index to two with PostgreSQL, and then nothing that an
// operator does to it costs anything: no client that asks meanwhile is refused, and no callback is lost, so
// that neither the sweeper nor a second try of a client has anything to make up for.
func TestRollingUpdatesUnderLoadLoseNothing(t *testing.T) {
	dsn, ca, query := database(t)
	replace(t, &corev1.Secret{ObjectMeta: at(demo.AppNamespace, "rolling-db"), Data: map[string][]byte{"uri": []byte(dsn), "ca.crt": ca}})
	replace(t, rolling())
	t.Cleanup(func() { removeRolling(t) })
	tenantReady(t, rollingTenant)
	startLoad(t, firstLoad)
	await(t, firstLoad, 20)
	before := loadReport(t, firstLoad, true)
	if before.Failures > 0 {
		t.Errorf("%d failures of one replica:\n%s", before.Failures, strings.Join(before.Examples, "\n"))
	}

	t.Log("from SQLite to PostgreSQL: the index is rebuilt from the bucket")
	patchTenant(t, fmt.Sprintf(`{"index":{"postgres":{"secretRef":{"name":"rolling-db","key":"uri"},"port":%d}},"signer":{"replicas":2}}`, port(t, dsn)))
	eventually(t, func(context.Context) string {
		if got := sources(t, query); got[index.SourceSweep] != before.Uploads {
			return fmt.Sprintf("%d uploads, records by source %v", before.Uploads, got)
		}
		return ""
	})
	tenantReady(t, rollingTenant)
	twoPods(t) // what the old one is still told is in an index of its own
	startLoad(t, secondLoad)
	await(t, secondLoad, 50)

	t.Log("changed limits: the same pods enforce them")
	limitsFollow(t)

	t.Log("kubectl rollout restart")
	patch(t, &appsv1.Deployment{ObjectMeta: at(demo.AppNamespace, rollingSigner)},
		`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"`+time.Now().Format(time.RFC3339)+`"}}}}}`)
	rolledOut(t, rollingSigner)

	t.Log("a changed identity")
	changesTemplate(t, func() { patchTenant(t, `{"access":{"maxSessionDuration":"2h"}}`) })

	t.Log("a rotated ticket key: first every pod learns the next one, then it seals")
	was := ticketKey(t)
	changesTemplate(t, func() {
		patch(t, &corev1.Secret{ObjectMeta: at(demo.AppNamespace, rollingSigner+"-tickets")}, `{"metadata":{"annotations":{"oss.uploadtenant.io/rotated":"2020-01-01T00:00:00Z"}}}`)
		reconcile(t)
	})
	eventually(t, func(context.Context) string {
		if ticketKey(t) == was {
			reconcile(t)
			return "the next key does not seal yet"
		}
		return ""
	})
	rolledOut(t, rollingSigner)

	t.Log("one pod deleted, as when its node is drained")
	if err := d.Client().Delete(t.Context(), &staying(t, rollingTenant)[0]); err != nil {
		t.Fatal(err)
	}
	rolledOut(t, rollingSigner)
	twoPods(t) // the deleted one answers until its endpoint is gone everywhere

	r := loadReport(t, secondLoad, true)
	t.Logf("%d grants, %d uploads, %d failures", r.Grants, r.Uploads, r.Failures)
	if r.Failures > 0 {
		t.Errorf("%d failures, for example:\n%s", r.Failures, strings.Join(r.Examples, "\n"))
	}
	if r.Grants < 100 || r.Uploads != r.Grants {
		t.Errorf("%d grants and %d uploads, want at least 100 and as many of both", r.Grants, r.Uploads)
	}
	want := map[string]int{index.SourceSweep: before.Uploads, index.SourceCallback: r.Uploads}
	if diff := cmp.Diff(want, sources(t, query)); diff != "" {
		t.Errorf("records by source (-want +got):\n%s", diff)
	}
	recorded := ids(t, query)
	for _, id := range append(before.IDs, r.IDs...) {
		if !recorded[id] {
			t.Errorf("upload %s has no record", id)
		}
	}
}

// limitsFollow lowers the size of a file and waits until every pod refuses a larger one.
func limitsFollow(t *testing.T) {
	t.Helper()
	restarts := func() map[types.UID]int32 {
		seen := map[types.UID]int32{}
		for _, p := range staying(t, rollingTenant) {
			seen[p.UID] = p.Status.ContainerStatuses[0].RestartCount
		}
		return seen
	}
	before, template := restarts(), generationOf(t, rollingSigner)
	patchTenant(t, `{"limits":{"size":{"max":"64Ki"}}}`)
	tenantReady(t, rollingTenant)
	// The kubelet looks at a pod's files when it looks at the pod: about once a minute, or when it changes.
	for _, p := range staying(t, rollingTenant) {
		patch(t, &p, `{"metadata":{"annotations":{"e2e/hurry":"`+time.Now().Format(time.RFC3339)+`"}}}`)
	}
	for _, p := range staying(t, rollingTenant) {
		eventually(t, func(ctx context.Context) string { return refuses(ctx, p.Name, 100<<10) })
	}
	if diff := cmp.Diff(before, restarts()); diff != "" || generationOf(t, rollingSigner) != template {
		t.Errorf("pods were replaced or restarted (-before +after):\n%s", diff)
	}
}

// refuses asks one pod for a grant that is too large.
func refuses(ctx context.Context, pod string, size int) (complaint string) {
	address, stop, err := d.ForwardPod(ctx, demo.AppNamespace, pod, 8080)
	if err != nil {
		return err.Error()
	}
	defer stop()
	body := fmt.Sprintf(`{"files":[{"name":"large.jpg","size":%d,"contentType":"image/jpeg"}]}`, size)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/v1/uploads", strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+d.Token())
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	if !strings.Contains(string(answer), "file_too_large") {
		return fmt.Sprintf("the pod answered %d: %.200s", resp.StatusCode, answer)
	}
	return ""
}

func patchTenant(t *testing.T, spec string) {
	t.Helper()
	patch(t, &v1alpha1.UploadTenant{ObjectMeta: at(demo.AppNamespace, rollingTenant)}, `{"spec":`+spec+`}`)
}

// reconcile asks the manager for a look now.
func reconcile(t *testing.T) {
	t.Helper()
	patch(t, &v1alpha1.UploadTenant{ObjectMeta: at(demo.AppNamespace, rollingTenant)},
		`{"metadata":{"annotations":{"`+v1alpha1.AnnotationReconcileAt+`":"`+time.Now().Format(time.RFC3339Nano)+`"}}}`)
}

// changesTemplate does something that must replace the pods, and waits until it has.
func changesTemplate(t *testing.T, do func()) {
	t.Helper()
	before := generationOf(t, rollingSigner)
	do()
	eventually(t, func(context.Context) string {
		if generationOf(t, rollingSigner) == before {
			return "the Deployment has not changed"
		}
		return ""
	})
	rolledOut(t, rollingSigner)
}

// ticketKey names the key that seals.
func ticketKey(t *testing.T) string {
	t.Helper()
	var secret corev1.Secret
	if err := d.Client().Get(t.Context(), client.ObjectKey{Namespace: demo.AppNamespace, Name: rollingSigner + "-tickets"}, &secret); err != nil {
		t.Fatal(err)
	}
	var keys struct{ Current string }
	if err := json.Unmarshal(secret.Data["keys.json"], &keys); err != nil {
		t.Fatal(err)
	}
	return keys.Current
}

func pods(t *testing.T, tenant string) []corev1.Pod {
	t.Helper()
	var list corev1.PodList
	if err := d.Client().List(t.Context(), &list, client.InNamespace(demo.AppNamespace), client.MatchingLabels{"app.kubernetes.io/instance": tenant}); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// twoPods waits until the pods that are ending are gone.
func twoPods(t *testing.T) {
	t.Helper()
	eventually(t, func(context.Context) string {
		if n := len(pods(t, rollingTenant)); n != 2 {
			return fmt.Sprintf("%d pods, want the two that stay", n)
		}
		return ""
	})
}

// staying leaves out the pods that are ending.
func staying(t *testing.T, tenant string) []corev1.Pod {
	t.Helper()
	return slices.DeleteFunc(pods(t, tenant), func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
}

// record is one row of the index.
type record struct{ ID, Source string }

// records reads the tenant's index; it has none as long as its schema does not exist.
func records(t *testing.T, query string) []record {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	schema := index.SchemaName(demo.AppNamespace+"/"+rollingTenant, rollingBucket, rollingPrefix)
	var exists bool
	if err := conn.QueryRow(t.Context(), `SELECT to_regclass($1) IS NOT NULL`, schema+".uploads").Scan(&exists); err != nil {
		t.Fatal(err)
	}
	if !exists {
		return nil
	}
	rows, err := conn.Query(t.Context(), `SELECT id, source FROM "`+schema+`".uploads`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[record])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// sources counts the records by how the signer learned of the upload.
func sources(t *testing.T, query string) map[string]int {
	t.Helper()
	count := map[string]int{}
	for _, r := range records(t, query) {
		count[r.Source]++
	}
	return count
}

func ids(t *testing.T, query string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, r := range records(t, query) {
		all[r.ID] = true
	}
	return all
}

// port of the database, for the NetworkPolicy.
func port(t *testing.T, dsn string) uint16 {
	t.Helper()
	config, err := pgx.ParseConfig(strings.SplitN(dsn, "?", 2)[0])
	if err != nil {
		t.Fatal("the URL of the database cannot be read")
	}
	return config.Port
}

// rolling is a tenant as it begins: one replica with the embedded index.
func rolling() client.Object {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "UploadTenant",
		"metadata": map[string]any{"namespace": demo.AppNamespace, "name": rollingTenant},
		"spec": map[string]any{
			"bucket":   map[string]any{"name": rollingBucket, "prefix": rollingPrefix},
			"limits":   map[string]any{"size": map[string]any{"max": "1Mi"}, "contentTypes": []any{"image/jpeg"}},
			"auth":     map[string]any{"jwt": map[string]any{"secretRef": map[string]any{"name": "album-jwt", "key": "secret"}}},
			"callback": map[string]any{"url": "http://" + rollingSigner + "." + demo.AppNamespace + ".svc/family/rolling/callback"},
		},
	}}
}

func removeRolling(t *testing.T) {
	objects := []client.Object{&v1alpha1.UploadTenant{ObjectMeta: at(demo.AppNamespace, rollingTenant)}, &corev1.Secret{ObjectMeta: at(demo.AppNamespace, "rolling-db")}}
	for _, name := range []string{firstLoad, secondLoad} {
		objects = append(objects, &appsv1.Deployment{ObjectMeta: at(demo.AppNamespace, name)}, &corev1.Service{ObjectMeta: at(demo.AppNamespace, name)}, &corev1.Secret{ObjectMeta: at(demo.AppNamespace, name)})
	}
	for _, o := range objects {
		if err := client.IgnoreNotFound(d.Client().Delete(context.Background(), o)); err != nil {
			t.Error(err)
		}
	}
}

// startLoad runs the crowd of clients inside the cluster.
func startLoad(t *testing.T, name string) {
	t.Helper()
	labels := map[string]string{"app.kubernetes.io/name": name}
	replace(t, &corev1.Secret{ObjectMeta: at(demo.AppNamespace, name), Data: map[string][]byte{"token": []byte(d.Token())}})
	replace(t, &corev1.Service{ObjectMeta: at(demo.AppNamespace, name), Spec: corev1.ServiceSpec{Selector: labels,
		Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}}})
	zero := int64(0)
	replace(t, &appsv1.Deployment{ObjectMeta: at(demo.AppNamespace, name), Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &zero,
			Containers: []corev1.Container{{Name: "load", Image: d.Image("demo-load"), ImagePullPolicy: corev1.PullIfNotPresent,
				Args:         []string{"--signer=http://" + rollingSigner + "." + demo.AppNamespace + ".svc", "--token-file=/token/token"},
				Ports:        []corev1.ContainerPort{{ContainerPort: 8080}},
				VolumeMounts: []corev1.VolumeMount{{Name: "token", MountPath: "/token", ReadOnly: true}}}},
			Volumes: []corev1.Volume{{Name: "token", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name}}}},
		}},
	}})
	rolledOut(t, name)
}

// loadSeen is the report of test/demo/load.
type loadSeen struct {
	Grants, Uploads, Failures int
	IDs, Examples             []string
}

func loadReport(t *testing.T, name string, stop bool) loadSeen {
	t.Helper()
	var seen loadSeen
	url := "http://" + name + "." + demo.AppNamespace + ".svc/report"
	if stop {
		url += "?stop=1"
	}
	eventually(t, func(ctx context.Context) string {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err.Error()
		}
		resp, err := d.HTTP().Do(req)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err.Error()
		}
		seen = loadSeen{}
		if err := json.Unmarshal(body, &seen); err != nil {
			return err.Error()
		}
		return ""
	})
	return seen
}

// await waits until the crowd has made so many uploads.
func await(t *testing.T, name string, uploads int) {
	t.Helper()
	eventually(t, func(context.Context) string {
		if r := loadReport(t, name, false); r.Uploads < uploads && r.Failures == 0 {
			return fmt.Sprintf("%d uploads so far", r.Uploads)
		}
		return ""
	})
}

// replace makes an object anew.
func replace(t *testing.T, o client.Object) {
	t.Helper()
	old := o.DeepCopyObject().(client.Object)
	if err := client.IgnoreNotFound(d.Client().Delete(t.Context(), old)); err != nil {
		t.Fatal(err)
	}
	gone(t, old)
	if err := d.Client().Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// patch changes an object as `kubectl patch` does.
func patch(t *testing.T, o client.Object, merge string) {
	t.Helper()
	if err := d.Client().Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(merge))); err != nil {
		t.Fatal(err)
	}
}

func generationOf(t *testing.T, deployment string) int64 {
	t.Helper()
	var o appsv1.Deployment
	if err := d.Client().Get(t.Context(), client.ObjectKey{Namespace: demo.AppNamespace, Name: deployment}, &o); err != nil {
		t.Fatal(err)
	}
	return o.Generation
}

// rolledOut waits until a Deployment runs what it was told to; old pods may still be ending.
func rolledOut(t *testing.T, name string) {
	t.Helper()
	eventually(t, func(ctx context.Context) string {
		var o appsv1.Deployment
		if err := d.Client().Get(ctx, client.ObjectKey{Namespace: demo.AppNamespace, Name: name}, &o); err != nil {
			return err.Error()
		}
		s, want := o.Status, *o.Spec.Replicas
		if s.ObservedGeneration < o.Generation || s.UpdatedReplicas != want || s.AvailableReplicas != want || s.Replicas != want {
			return fmt.Sprintf("Deployment %s has %d pods, %d of %d updated, %d available", name, s.Replicas, s.UpdatedReplicas, want, s.AvailableReplicas)
		}
		return ""
	})
}

// tenantReady waits until the manager has made the present spec of a tenant true.
func tenantReady(t *testing.T, name string) {
	t.Helper()
	eventually(t, func(ctx context.Context) string {
		var tenant v1alpha1.UploadTenant
		if err := d.Client().Get(ctx, client.ObjectKey{Namespace: demo.AppNamespace, Name: name}, &tenant); err != nil {
			return err.Error()
		}
		ready := meta.FindStatusCondition(tenant.Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil || ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != tenant.Generation {
			return fmt.Sprintf("conditions: %+v", tenant.Status.Conditions)
		}
		return ""
	})
}
