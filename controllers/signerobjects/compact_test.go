package signerobjects_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/uploadtenant/uploadtenant/controllers/signerobjects"
)

func TestCompactConfigMapsCompareAsTheirData(t *testing.T) {
	for name, tc := range map[string]struct {
		live string
		want bool
	}{
		"the same":  {"{}", true},
		"different": {"{ }", false},
	} {
		t.Run(name, func(t *testing.T) {
			live := &corev1.ConfigMap{Data: map[string]string{"config.json": tc.live}}
			signerobjects.CompactConfigMap(live)
			signerobjects.CompactConfigMap(live) // a cache may do it twice
			desired := corev1ac.ConfigMap("c", "n").WithData(map[string]string{"config.json": "{}"})
			desired.Name, desired.Namespace = nil, nil
			if got, err := signerobjects.Covers(live, signerobjects.Compacted(desired)); err != nil || got != tc.want {
				t.Errorf("covered = %t (%v), want %t", got, err, tc.want)
			}
			if desired.Data["config.json"] != "{}" {
				t.Error("what is to be applied was compacted, too")
			}
		})
	}
}
