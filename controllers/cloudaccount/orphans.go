package cloudaccount

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/controllers/orphans"
	"github.com/uploadtenant/uploadtenant/controllers/outcome"
	"github.com/uploadtenant/uploadtenant/controllers/span"
)

// orphanInterval is the pause between two looks for orphans: nothing gets worse while one is not known, and
// an account with a thousand roles costs ten calls.
const orphanInterval = time.Hour

// maxOrphans bounds status.orphans; the CRD has the same number.
const maxOrphans = 64

// Metrics of accounts. A nil *Metrics measures nothing.
type Metrics struct {
	orphans *prometheus.GaugeVec
}

// NewMetrics registers the metrics of accounts.
func NewMetrics(registry prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{orphans: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "uploadtenant_orphaned_objects", Help: "RAM roles and policies of this cluster that no tenant holds, by CloudAccount.",
	}, []string{"account", "kind"})}
	return m, registry.Register(m.orphans)
}

// orphanage remembers when each account was last searched for orphans.
type orphanage struct {
	mu       sync.Mutex
	searched map[string]time.Time
}

// due tells whether an account must be searched, and takes it that it is.
func (o *orphanage) due(account string, now time.Time, requested bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	last, known := o.searched[account]
	if known && !requested && now.Sub(last) < orphanInterval {
		return false
	}
	if o.searched == nil {
		o.searched = map[string]time.Time{}
	}
	o.searched[account] = now
	return true
}

func (o *orphanage) forget(account string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.searched, account)
}

// forgetOrphans drops what is known of an account that is gone.
func (r *Reconciler) forgetOrphans(account string) {
	r.orphans.forget(account)
	if r.Metrics != nil {
		r.Metrics.orphans.DeletePartialMatch(prometheus.Labels{"account": account})
	}
}

// reportOrphans searches the account when it is time, and tells what it found in status, metric and event.
// It never removes anything, and its failure never makes the account unusable.
func (r *Reconciler) reportOrphans(ctx context.Context, account *v1alpha1.CloudAccount, requested bool) {
	if !r.orphans.due(account.Name, r.Clock(), requested) {
		return
	}
	// Who asks wants to see what was done a moment ago, which the cache may not show yet.
	tenants := client.Reader(r.Client)
	if requested {
		tenants = r.Direct
	}
	var found []v1alpha1.OrphanedObject
	err := span.Around(ctx, r.Tracer, "search for orphans", nil, func(ctx context.Context) (err error) {
		found, err = r.findOrphans(ctx, account, tenants)
		return err
	})
	if err != nil {
		log.FromContext(ctx).Info("Cannot search for orphans", append(cloud.LogValues(err), "error", err.Error())...)
		if o := outcome.Of(err); o.Class == cloud.Denied {
			r.setOrphaned(account, metav1.ConditionUnknown, o.Reason, o.Message)
		}
		return
	}
	count := map[string]int{orphans.KindRole: 0, orphans.KindPolicy: 0}
	for _, o := range found {
		count[o.Kind]++
	}
	if r.Metrics != nil {
		for kind, n := range count {
			r.Metrics.orphans.WithLabelValues(account.Name, kind).Set(float64(n))
		}
	}
	before := account.Status.Orphans
	account.Status.Orphans = found[:min(len(found), maxOrphans)]
	if len(found) == 0 {
		meta.RemoveStatusCondition(&account.Status.Conditions, v1alpha1.ConditionOrphaned)
		return
	}
	message := fmt.Sprintf("RAM roles and policies of this cluster without a tenant: %d (status.orphans names them). "+
		"Apply their tenants again to take them back, or remove them in RAM", len(found))
	r.setOrphaned(account, metav1.ConditionTrue, v1alpha1.ReasonOrphansFound, message)
	if !slices.Equal(before, account.Status.Orphans) {
		r.Recorder.Eventf(account, nil, corev1.EventTypeWarning, v1alpha1.ReasonOrphansFound, "Search", "%s", message)
	}
}

func (r *Reconciler) setOrphaned(account *v1alpha1.CloudAccount, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&account.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionOrphaned, Status: status, Reason: reason, Message: message, ObservedGeneration: account.Generation,
	})
}

func (r *Reconciler) findOrphans(ctx context.Context, account *v1alpha1.CloudAccount, tenants client.Reader) ([]v1alpha1.OrphanedObject, error) {
	services, err := r.Accounts.Open(ctx, account)
	if err != nil {
		return nil, err
	}
	return orphans.Find(ctx, services.Inventory, r.ClusterID, orphans.TenantsOf(tenants, account.Spec.AccountID))
}
