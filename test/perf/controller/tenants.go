package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/aliyun"
	"github.com/uploadtenant/uploadtenant/test/perf/figures"
)

const (
	namespace = "bench"
	// perBucket tenants share a bucket, as a platform team would have it: an account has 100 buckets.
	perBucket = 20
	// perAccount is how many roles RAM takes of an account.
	perAccount = 1000
)

func (b *bench) createSurroundings(ctx context.Context) error {
	err := errors.Join(
		b.api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}),
		b.api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "uploadtenant-system"}}),
	)
	for _, a := range b.accounts {
		err = errors.Join(err, b.api.Create(ctx, &v1alpha1.CloudAccount{
			ObjectMeta: metav1.ObjectMeta{Name: a.name},
			Spec: v1alpha1.CloudAccountSpec{
				AccountID: a.id, Region: "cn-hangzhou",
				Credentials: v1alpha1.AccountCredentials{Environment: &v1alpha1.EnvironmentCredentials{}},
				OIDC:        &v1alpha1.AccountOIDC{ProviderARN: "acs:ram::" + a.id + ":oidc-provider/p", Issuer: "https://issuer.example.com"},
				Endpoints:   v1alpha1.AccountEndpoints{OSS: a.ossURL, RAM: a.apiURL, STS: a.apiURL},
			},
		}))
	}
	return err
}

func (b *bench) awaitAccount(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		var account v1alpha1.CloudAccount
		err := b.api.Get(ctx, client.ObjectKey{Name: "default"}, &account)
		return meta.IsStatusConditionTrue(account.Status.Conditions, v1alpha1.ConditionReady), err
	})
}

func (b *bench) tenant(i int) *v1alpha1.UploadTenant {
	return &v1alpha1.UploadTenant{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("tenant-%04d", i)},
		Spec: v1alpha1.UploadTenantSpec{
			AccountRef: v1alpha1.AccountReference{Name: b.accounts[i/perAccount].name},
			Bucket:     v1alpha1.BucketSpec{Name: fmt.Sprintf("bench-bucket-%03d", i/perBucket), Prefix: fmt.Sprintf("tenant-%04d/", i)},
			Limits:     v1alpha1.LimitsSpec{Size: v1alpha1.SizeLimit{Max: resource.MustParse("20Mi")}, ContentTypes: []string{"image/jpeg"}},
			Auth:       v1alpha1.AuthSpec{JWT: &v1alpha1.JWTAuth{JWKSURL: "https://id.example.com/jwks.json"}},
		},
	}
}

// untilReady creates the tenants beyond a number and returns, sorted, the seconds from each one's creation to
// its Ready, and the seconds until all are.
func (b *bench) untilReady(ctx context.Context, beyond int) (times []float64, wall float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	seen, err := b.readiness(ctx)
	if err != nil {
		return nil, 0, err
	}
	var created sync.Map
	failed := make(chan error, 1)
	start := time.Now()
	go func() {
		if err := parallel(b.tenants-beyond, func(i int) error {
			o := b.tenant(beyond + i)
			created.Store(o.Name, time.Now())
			return b.api.Create(ctx, o)
		}); err != nil {
			failed <- err
		}
	}()
	ready := map[string]bool{}
	for len(ready) < b.tenants-beyond {
		select {
		case name := <-seen:
			if at, known := created.Load(name); known && !ready[name] {
				ready[name] = true
				times = append(times, time.Since(at.(time.Time)).Seconds())
			}
		case err := <-failed:
			return nil, 0, err
		case <-ctx.Done():
			return nil, 0, fmt.Errorf("%d of %d tenants are ready: %w", len(ready), b.tenants, errTimeout)
		}
	}
	slices.Sort(times)
	return times, time.Since(start).Seconds(), nil
}

// readiness sends the name of each tenant that is seen ready, until ctx ends.
func (b *bench) readiness(ctx context.Context) (<-chan string, error) {
	watched, err := cache.New(b.cluster, cache.Options{Scheme: b.api.Scheme()})
	if err != nil {
		return nil, err
	}
	informer, err := watched.GetInformer(ctx, &v1alpha1.UploadTenant{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, err
	}
	seen := make(chan string, b.tenants)
	tell := func(o any) {
		t, ok := o.(*v1alpha1.UploadTenant)
		if ok && meta.IsStatusConditionTrue(t.Status.Conditions, v1alpha1.ConditionReady) {
			select {
			case seen <- t.Name:
			case <-ctx.Done():
			}
		}
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: tell, UpdateFunc: func(_, now any) { tell(now) }})
	if err != nil {
		return nil, err
	}
	go func() { _ = watched.Start(ctx) }()
	if !watched.WaitForCacheSync(ctx) {
		return nil, errTimeout
	}
	return seen, nil
}

// parallel runs work for 0 to n-1 with the manager's concurrency.
func parallel(n int, work func(int) error) error {
	next := make(chan int)
	errs := make(chan error, concurrency)
	for range concurrency {
		go func() {
			var err error
			for i := range next {
				err = errors.Join(err, work(i))
			}
			errs <- err
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	var err error
	for range concurrency {
		err = errors.Join(err, <-errs)
	}
	return err
}

// floor makes as many plain writes and calls as the manager made, without it.
func (b *bench) floor(ctx context.Context) error {
	services, err := aliyun.NewOpener(aliyun.Options{}).Open(cloud.Account{
		ID: b.accounts[0].id, Region: "cn-hangzhou",
		Endpoints:   cloud.Endpoints{OSS: b.accounts[0].ossURL, RAM: b.accounts[0].apiURL, STS: b.accounts[0].apiURL},
		Credentials: cloud.Credentials{Static: &cloud.StaticCredentials{AccessKeyID: accessKeyID, AccessKeySecret: accessKeySecret}},
	})
	if err != nil {
		return err
	}
	writes, calls := int(b.writes)/b.tenants, int(b.calls)/b.tenants
	start := time.Now()
	err = parallel(b.tenants, func(i int) error {
		var err error
		for call := range calls {
			_, _, callErr := services.Roles.Observe(ctx, fmt.Sprintf("floor-%d-%d", i, call))
			err = errors.Join(err, callErr)
		}
		for write := range writes {
			err = errors.Join(err, b.api.Create(ctx, &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("floor-%d-%d", i, write)},
				Data:       map[string]string{"config.json": "{}"},
			}))
		}
		return err
	})
	if err != nil {
		return err
	}
	b.report.Add(figures.Figure{Name: "controller_ready_vs_floor", Value: b.wall, Unit: "s", Floor: time.Since(start).Seconds()})
	return nil
}

// changeServed changes one tenant and returns
// the seconds until the change is in the signer's configuration and the status tells so.
func (b *bench) changeServed(ctx context.Context) (float64, error) {
	t := b.tenant(b.tenants / 2)
	if err := b.api.Get(ctx, client.ObjectKeyFromObject(t), t); err != nil {
		return 0, err
	}
	before := t.DeepCopy()
	b.changes++
	files := 5 + b.changes
	t.Spec.Limits.FilesPerRequest = &files
	start := time.Now()
	if err := b.api.Patch(ctx, t, client.MergeFrom(before)); err != nil {
		return 0, err
	}
	err := poll(ctx, func() (bool, error) {
		err := b.api.Get(ctx, client.ObjectKeyFromObject(t), t)
		return t.Status.ObservedGeneration == t.Generation, err
	})
	return time.Since(start).Seconds(), err
}

// settle waits until the manager has looked at every tenant: its calls stand still.
func (b *bench) settle(ctx context.Context) (counters, error) {
	var last counters
	var since time.Time
	err := poll(ctx, func() (bool, error) {
		now, err := b.manager.counters(ctx)
		if now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 3*time.Second, err
	})
	return last, err
}
