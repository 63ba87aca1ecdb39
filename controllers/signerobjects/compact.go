package signerobjects

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
)

// CompactConfigMap is for a cache: it leaves of a ConfigMap's data only what tells whether it changed. A
// configuration has some kilobytes, and a manager holds thousands of them.
func CompactConfigMap(live *corev1.ConfigMap) {
	live.Data, live.BinaryData = hashed(live.Data), nil
}

// Compacted is a desired ConfigMap as it would look in that cache.
func Compacted(desired *corev1ac.ConfigMapApplyConfiguration) *corev1ac.ConfigMapApplyConfiguration {
	compact := *desired
	compact.Data = hashed(desired.Data)
	return &compact
}

// hashMark begins a hash. A cache may transform an object twice, so a hash is not hashed again.
const hashMark = "sha256:"

func hashed(data map[string]string) map[string]string {
	out := make(map[string]string, len(data))
	for key, value := range data {
		if !strings.HasPrefix(value, hashMark) {
			sum := sha256.Sum256([]byte(value))
			value = hashMark + hex.EncodeToString(sum[:])
		}
		out[key] = value
	}
	return out
}
