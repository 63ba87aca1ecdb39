package uploadsctl

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// OrphansOptions of Orphans.
type OrphansOptions struct {
	// Refresh asks the manager for a new search and waits for it, at most Timeout.
	Refresh bool
	Timeout time.Duration
	Output  Output
}

// Orphans of one CloudAccount, as its status tells them.
type Orphans struct {
	Account string `json:"account"`
	// Problem says why the manager could not search; "" when it could.
	Problem string                    `json:"problem,omitempty"`
	Remedy  string                    `json:"remedy,omitempty"`
	Items   []v1alpha1.OrphanedObject `json:"items"`
	// Message of the manager about what it found.
	Message string `json:"message,omitempty"`
}

// Orphans shows the RAM roles and policies that this cluster made and that no tenant holds any more. Only
// the manager may ask the cloud, so that what it reports is shown. The error is ErrNo when there are some.
func (s *Session) Orphans(ctx context.Context, opts OrphansOptions) error {
	var list v1alpha1.CloudAccountList
	if err := s.Client.List(ctx, &list); err != nil {
		return accountsError(err)
	}
	if opts.Refresh {
		for i := range list.Items {
			if err := s.search(ctx, &list.Items[i], opts.Timeout); err != nil {
				return err
			}
		}
	}
	found := make([]Orphans, 0, len(list.Items))
	for i := range list.Items {
		found = append(found, orphansOf(&list.Items[i]))
	}
	if done, err := opts.Output.encode(s.Out, map[string]any{"accounts": found}); !done {
		s.printOrphans(found)
	} else if err != nil {
		return err
	}
	var none error
	for _, o := range found {
		if o.Problem != "" {
			return fmt.Errorf("not every account could be searched; %s", o.Remedy)
		}
		if len(o.Items) > 0 {
			none = ErrNo
		}
	}
	return none
}

// accountsError explains that CloudAccounts are the platform team's.
func accountsError(err error) error {
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("you may not read CloudAccounts, which are the platform team's: ask it: %w", err)
	}
	return Explain(err)
}

// search has the manager look at an account now. Who may not ask gets what was found last.
func (s *Session) search(ctx context.Context, account *v1alpha1.CloudAccount, timeout time.Duration) error {
	stamp := s.Now().UTC().Format(time.RFC3339Nano)
	raw, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{v1alpha1.AnnotationReconcileAt: stamp}}})
	if err != nil {
		return fmt.Errorf("encode the change: %w", err)
	}
	err = s.Client.Patch(ctx, account, client.RawPatch(types.MergePatchType, raw), client.FieldOwner(fieldOwner))
	if apierrors.IsForbidden(err) {
		fmt.Fprintf(s.Log, "You may not ask for a new search (patch cloudaccounts), so this is what the manager's hourly search of %s found.\n", account.Name)
		return nil
	}
	if err != nil {
		return Explain(err)
	}
	err = wait.PollUntilContextTimeout(ctx, poll, timeout, true, func(ctx context.Context) (bool, error) {
		err := s.Client.Get(ctx, client.ObjectKeyFromObject(account), account)
		return account.Status.LastHandledReconcileAt == stamp, Explain(err)
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return fmt.Errorf("the manager has not searched CloudAccount %s within %v: `kubectl uploads doctor` tells whether it is at work; --refresh=false shows what it found last", account.Name, timeout)
	}
	return err
}

func orphansOf(account *v1alpha1.CloudAccount) Orphans {
	o := Orphans{Account: account.Name, Items: account.Status.Orphans}
	if o.Items == nil {
		o.Items = []v1alpha1.OrphanedObject{}
	}
	conditions := account.Status.Conditions
	switch c := meta.FindStatusCondition(conditions, v1alpha1.ConditionOrphaned); {
	case c != nil && c.Status == metav1.ConditionUnknown:
		o.Problem, o.Remedy = c.Reason+": "+c.Message, "grant the manager's role ram:ListRoles and ram:ListPolicies (docs/guides/manager-ram-policy.json)"
	case c != nil:
		o.Message = c.Message
	case !meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReady):
		o.Problem, o.Remedy = "the account is not ready", "`kubectl uploads doctor` tells why"
	}
	return o
}

func (s *Session) printOrphans(found []Orphans) {
	rows := [][]string{{"ACCOUNT", "KIND", "NAME", "MADE FOR"}}
	for _, o := range found {
		for _, item := range o.Items {
			rows = append(rows, []string{o.Account, item.Kind, item.Name, item.Tenant})
		}
	}
	if len(rows) > 1 {
		table(s.Out, rows...)
		fmt.Fprintln(s.Out)
	}
	for _, o := range found {
		switch {
		case o.Problem != "":
			fmt.Fprintf(s.Out, "CloudAccount %s was not searched: %s\n", o.Account, o.Problem)
		case o.Message != "":
			fmt.Fprintf(s.Out, "CloudAccount %s: %s.\n", o.Account, o.Message)
		default:
			fmt.Fprintf(s.Out, "CloudAccount %s has no orphans.\n", o.Account)
		}
	}
	if len(found) == 0 {
		fmt.Fprintln(s.Log, "There is no CloudAccount.")
	}
}
