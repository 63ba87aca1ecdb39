package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestEveryCaseIsAnsweredAndNothingIsLeft(t *testing.T) {
	target, stop, err := startEmulated("cn-hangzhou")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	cases := allCases()
	results, err := ask(t.Context(), target, cases)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		if r := results[i]; r == "" || strings.HasPrefix(r, "failed") || strings.HasPrefix(r, "setup") || strings.HasPrefix(r, "not run") || strings.HasPrefix(r, "500") {
			t.Errorf("%s: %q", c.name, r)
		}
	}
	for action, params := range map[string]map[string]string{"ListRoles": nil, "ListPolicies": {"PolicyType": "Custom"}} {
		a, err := target.ram(t.Context(), action, params)
		if err != nil || strings.Contains(string(a.Body), "ut-probe-") {
			t.Errorf("%s after the probe: %s %v", action, a.Body, err)
		}
	}
	if a, err := target.oss(t.Context(), target.admin, "GET", "", "bucketInfo", nil, nil); err != nil || a.Status != 404 {
		t.Errorf("the bucket after the probe: %s %v", a, err)
	}
}

func TestCasesHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range allCases() {
		if seen[c.name] || c.question == "" {
			t.Errorf("%q is twice, or asks nothing", c.name)
		}
		seen[c.name] = true
	}
}

func TestReportMarksDifferences(t *testing.T) {
	cases := []probeCase{{name: "same", question: "?"}, {name: "other", question: "?"}, {name: "left-out", question: "?"}}
	targets := []*target{{name: "emulator"}, {name: "account"}}
	results := [][]string{{"204", "400 A", "200"}, {"204", "403 B", errNoReceiver.Error()}}
	var out bytes.Buffer
	differ, err := report(&out, false, targets, cases, results)
	if err != nil || differ != 1 {
		t.Errorf("%d differ, %v", differ, err)
	}
	for _, want := range []string{"* other", "emulator: 400 A", "account: 403 B", "3 cases, 1 differ"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
	out.Reset()
	if _, err := report(&out, true, targets, cases, results); err != nil || strings.Count(out.String(), `"same":false`) != 1 {
		t.Errorf("JSON: %s %v", &out, err)
	}
}
