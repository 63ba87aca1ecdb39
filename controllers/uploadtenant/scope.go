package uploadtenant

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/instrument"
	"github.com/uploadtenant/uploadtenant/controllers/outcome"
	"github.com/uploadtenant/uploadtenant/policy"
)

// scope is everything that one reconcile reads and decides.
type scope struct {
	// original is the tenant as the API server last returned it.
	original *v1alpha1.UploadTenant
	// tenant carries the status that finish will write.
	tenant *v1alpha1.UploadTenant
	// owner claims the tenant's cloud objects.
	owner policy.Owner

	// account and services are set by run before the first phase, unless accountErr is.
	account    *v1alpha1.CloudAccount
	services   cloud.Services
	accountErr error

	// fresh allows trusting a recent look at the cloud.
	fresh bool
	// changes collects what the phases write, or would write.
	changes *instrument.Changes
	// drift is what had changed outside and was made true again.
	drift []instrument.Change
	// claims of the tenants of the bucket, read by the bucket phase.
	claims claims
	// bucket as the bucket phase found it; its name is empty when that phase trusted an earlier look.
	bucket cloud.Bucket
	// bucketCreated and roleCreated are set by their phases. A new role has no attachments to read; a new
	// bucket has no rules to read while bucketVersion, that of this reconcile's last write, is its version.
	bucketCreated, roleCreated bool
	bucketVersion              uint64
	// ticketKeys identifies the ticket keys that the signer's pods must hold.
	ticketKeys string
	// renewAt is when the brokered session must be renewed, zero without one.
	renewAt time.Time
	// planned changes by condition, under managementPolicy Observe.
	planned map[string][]instrument.Change
	// failures by condition.
	failures map[string]*failure
}

type failure struct {
	phase string
	err   error
}

func newScope(tenant *v1alpha1.UploadTenant, clusterID string) *scope {
	working := tenant.DeepCopy()
	working.Default()
	return &scope{
		original: tenant,
		tenant:   working,
		owner:    policy.Owner{Cluster: clusterID, Namespace: tenant.Namespace, Name: tenant.Name},
		failures: map[string]*failure{},
		planned:  map[string][]instrument.Change{},
		changes:  &instrument.Changes{DryRun: tenant.Spec.ManagementPolicy == v1alpha1.ManagementObserve},
	}
}

func (s *scope) fail(condition, phase string, err error) {
	s.failures[condition] = &failure{phase: phase, err: err}
}

// bucketContested refuses access to a bucket or prefix that belongs to somebody else: a role for it would
// let this tenant into another one's objects. A tenant that has no role yet gets none before the bucket was
// seen to be its own, because the manager may hand out rights that it does not have itself; one that has a
// role keeps it while the object store cannot be asked.
func (s *scope) bucketContested(condition string) error {
	contested := s.failures[v1alpha1.ConditionBucketReady]
	if condition != v1alpha1.ConditionAccessReady || contested == nil {
		return nil
	}
	o := outcome.Of(contested.err)
	switch {
	case o.Class == cloud.Conflict:
		return outcome.Fail(cloud.Conflict, v1alpha1.ReasonBucketNotReady,
			"no access is given before the bucket and prefix belong to this tenant (%s)", o.Reason)
	case contested.phase == "bucket" && s.tenant.Status.Role == nil:
		return outcome.Fail(cloud.Waiting, v1alpha1.ReasonBucketNotReady,
			"no access is given before the bucket is seen to be this tenant's (%s)", o.Reason)
	}
	return nil
}

// reconcileRequested tells whether somebody asked for a reconcile now.
func (s *scope) reconcileRequested() bool {
	at := s.tenant.Annotations[v1alpha1.AnnotationReconcileAt]
	return at != "" && at != s.tenant.Status.LastHandledReconcileAt
}

// wasReady tells whether the last status said that the present spec was true.
func (s *scope) wasReady() bool {
	ready := meta.FindStatusCondition(s.original.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Status == metav1.ConditionTrue && ready.ObservedGeneration == s.original.Generation
}

// roleName is the name of the tenant's role and policy.
func (s *scope) roleName() string { return s.owner.ResourceName() }

func (s *scope) roleARN() string { return policy.RoleARN(s.account.Spec.AccountID, s.roleName()) }

// openAccount finds the tenant's account and opens its services.
func (r *Reconciler) openAccount(ctx context.Context, s *scope) (*v1alpha1.CloudAccount, cloud.Services, error) {
	name := s.tenant.Spec.AccountRef.Name
	account := &v1alpha1.CloudAccount{}
	if err := r.Client.Get(ctx, client.ObjectKey{Name: name}, account); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, cloud.Services{}, outcome.Fail(cloud.Denied, v1alpha1.ReasonAccountNotFound,
				"there is no CloudAccount %q: create it, or ask the platform team which one to name in spec.accountRef", name)
		}
		return nil, cloud.Services{}, err
	}
	account = account.DeepCopy()
	account.Default()
	if err := accountUsable(account); err != nil {
		return nil, cloud.Services{}, err
	}
	if err := allowed(account, s.tenant); err != nil {
		return account, cloud.Services{}, err
	}
	services, err := r.Accounts.Open(ctx, account)
	if err != nil {
		return account, cloud.Services{}, err
	}
	return account, instrument.Intercept(services, s.changes.Interceptor), nil
}

// accountUsable refuses an account that its own controller has not verified, so that nothing is ever
// written to a wrong account. One that was verified stays usable while the cloud is down: its tenants
// find that out themselves.
func accountUsable(account *v1alpha1.CloudAccount) error {
	ready := meta.FindStatusCondition(account.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.ObservedGeneration != account.Generation {
		return outcome.Fail(cloud.Waiting, v1alpha1.ReasonAccountNotReady,
			"CloudAccount %s has not been verified yet", account.Name)
	}
	transient := ready.Reason == v1alpha1.ReasonCloudUnavailable || ready.Reason == v1alpha1.ReasonThrottled
	if ready.Status == metav1.ConditionTrue || transient && account.Status.VerifiedGeneration == account.Generation {
		return nil
	}
	return outcome.Fail(cloud.Denied, v1alpha1.ReasonAccountNotReady,
		"CloudAccount %s is not ready (%s): %s", account.Name, ready.Reason, ready.Message)
}

// freshness remembers which inputs of a part were last found to be true in the cloud, so that events from
// inside the cluster, such as a signer that became ready, cause no calls.
type freshness struct {
	clock func() time.Time
	mu    sync.Mutex
	// seen by tenant and part.
	seen map[types.UID]map[string]freshSeen
}

type freshSeen struct {
	inputs string
	until  time.Time
	// note is what the part wants to remember.
	note string
}

// holds tells whether the part was found true with these inputs not long ago.
func (f *freshness) holds(tenant types.UID, part, inputs string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen, ok := f.seen[tenant][part]
	return ok && seen.inputs == inputs && f.clock().Before(seen.until)
}

// found remembers that the part is true, for the given time.
func (f *freshness) found(tenant types.UID, part, inputs string, valid time.Duration) {
	f.put(tenant, part, func(seen *freshSeen) { *seen = freshSeen{inputs: inputs, until: f.clock().Add(valid)} })
}

// remember adds a note to what was just found.
func (f *freshness) remember(tenant types.UID, part, note string) {
	f.put(tenant, part, func(seen *freshSeen) { seen.note = note })
}

func (f *freshness) put(tenant types.UID, part string, change func(*freshSeen)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen = map[types.UID]map[string]freshSeen{}
	}
	if f.seen[tenant] == nil {
		f.seen[tenant] = map[string]freshSeen{}
	}
	seen := f.seen[tenant][part]
	change(&seen)
	f.seen[tenant][part] = seen
}

// note returns what the part remembered, and until when it holds.
func (f *freshness) note(tenant types.UID, part string) (string, time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := f.seen[tenant][part]
	return seen.note, seen.until
}

// known tells whether the part was ever found true with these inputs, however long ago, and whether
// anything is known of it at all.
func (f *freshness) known(tenant types.UID, part, inputs string) (same, any bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen, ok := f.seen[tenant][part]
	return ok && seen.inputs == inputs, ok
}

// expire makes every part of a tenant wait for a new look, however many failures come before it.
func (f *freshness) expire(tenant types.UID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for part, seen := range f.seen[tenant] {
		seen.until = time.Time{}
		f.seen[tenant][part] = seen
	}
}

// forget drops what is known of a tenant.
func (f *freshness) forget(tenant types.UID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.seen, tenant)
}

// fingerprint identifies the inputs of a part.
func fingerprint(inputs ...any) string {
	// Inputs are API structs and strings, which always encode.
	raw, _ := json.Marshal(inputs)
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// keyedMutex serialises work on one key, such as a bucket whose documents have a single writer. Keys are
// kept: there are as many as buckets.
type keyedMutex struct {
	mu    sync.Mutex
	locks map[string]*sync.Mutex
}

// lock locks the key and returns the function that unlocks it.
func (k *keyedMutex) lock(key string) func() {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*sync.Mutex{}
	}
	l, ok := k.locks[key]
	if !ok {
		l = &sync.Mutex{}
		k.locks[key] = l
	}
	k.mu.Unlock()
	l.Lock()
	return l.Unlock
}
