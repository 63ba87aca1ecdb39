package cloudtest_test

import (
	"testing"

	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/cloudtest"
)

func TestFakeConforms(t *testing.T) {
	services, err := cloudtest.New("42").Open(cloud.Account{})
	if err != nil {
		t.Fatal(err)
	}
	cloudtest.Conform(t, services, "42")
}
