package iam_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/ram"
	"github.com/google/go-cmp/cmp"

	"github.com/uploadtenant/uploadtenant/emulator/iam"
)

// TestStateSurvivesAKill opens the data of a service that was never closed, with half a line behind it, as a
// process leaves it that is killed while it writes.
func TestStateSurvivesAKill(t *testing.T) {
	dir := t.TempDir()
	inDir := func(o *iam.Options) { o.DataDir = dir }
	f := start(t, inDir)
	_, err := f.createRole("r", trustAll)
	f.must(err)
	_, err = f.createRole("gone", trustAll)
	f.must(err)
	_, err = f.createPolicy("p", allowPuts)
	f.must(err)
	f.must(f.attach("r", "Custom", "p"))
	arn := f.provider("cluster", "https://issuer.example.com", "sts.aliyuncs.com")
	resp, err := f.assume(f.sts, "r")
	f.must(err)
	del := ram.CreateDeleteRoleRequest()
	del.RoleName = "gone"
	_, err = f.ram.DeleteRole(del)
	f.must(err)

	journal, err := os.OpenFile(filepath.Join(dir, "journal.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	f.must(err)
	_, err = journal.WriteString(`[{"kind":"role","name":"torn","val`)
	f.must(err)
	f.must(journal.Close())

	for range 2 { // the second start reads what the first one rewrote
		g := start(t, inDir)
		roles, err := g.ram.ListRoles(ram.CreateListRolesRequest())
		g.must(err)
		var names []string
		for _, r := range roles.Roles.Role {
			names = append(names, r.RoleName)
		}
		if diff := cmp.Diff([]string{"r"}, names); diff != "" {
			t.Errorf("roles after the kill (-want +got):\n%s", diff)
		}
		if !g.allowed(g.principalOf(resp.Credentials), "oss:PutObject", "bucket/album/a") {
			t.Error("the session from before the kill may do nothing")
		}
		list := g.principal(adminKey)
		if list.ID == "" || list.ID != f.principal(adminKey).ID {
			t.Error("the admin user changed its id")
		}
		if _, err := g.common("2019-08-15", "GetOIDCProvider", map[string]string{"OIDCProviderName": "cluster"}); err != nil {
			t.Errorf("the provider %s is gone: %v", arn, err)
		}
	}
}

func (f *fixture) principal(key string) iam.Principal {
	f.t.Helper()
	cred, ok := f.svc.Credential(key)
	if !ok {
		f.t.Fatalf("no credential %s", key)
	}
	return cred.Principal
}

func TestJournalThatIsNotOneIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "journal.jsonl"), []byte("not a journal\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := iam.New(iam.Options{AccountID: account, AccessKeyID: adminKey, AccessKeySecret: adminSK, DataDir: dir})
	if err == nil {
		t.Fatal("New took a file that is no journal; starting empty would hide the loss")
	}
}

func TestChangesPropagateAfterTheDelay(t *testing.T) {
	f := start(t, func(o *iam.Options) { o.PropagationDelay = 2 * time.Second })
	_, err := f.createRole("r", trustAll)
	f.must(err)
	get := ram.CreateGetRoleRequest()
	get.RoleName = "r"
	_, err = f.ram.GetRole(get)
	if got := code(err); got != "404 EntityNotExist.Role" {
		t.Errorf("GetRole at once: %q", got)
	}
	_, err = f.createRole("r", trustAll)
	if got := code(err); got != "409 EntityAlreadyExists.Role" {
		t.Errorf("CreateRole again: %q", got)
	}
	f.must(f.attach("r", "System", "AliyunOSSFullAccess"))
	f.clock.offset = 3 * time.Second
	if _, err = f.ram.GetRole(get); err != nil {
		t.Errorf("GetRole after the delay: %v", err)
	}
	detach := ram.CreateDetachPolicyFromRoleRequest()
	detach.RoleName, detach.PolicyType, detach.PolicyName = "r", "System", "AliyunOSSFullAccess"
	_, err = f.ram.DetachPolicyFromRole(detach)
	f.must(err)
	del := ram.CreateDeleteRoleRequest()
	del.RoleName = "r"
	_, err = f.ram.DeleteRole(del)
	if got := code(err); got != "409 DeleteConflict.Role.Policy" {
		t.Errorf("DeleteRole before the detachment propagated: %q", got)
	}
	f.clock.offset = 6 * time.Second
	_, err = f.ram.DeleteRole(del)
	f.must(err)
}
