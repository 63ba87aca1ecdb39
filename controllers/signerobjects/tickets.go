package signerobjects

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// ticketKeyBytes is the length of an AES-256 key.
const ticketKeyBytes = 32

// TicketKeys is the content of the Secret: keys by id, of which one seals new tickets and all open old ones.
type TicketKeys struct {
	Current string            `json:"current"`
	Keys    map[string]string `json:"keys"`
}

// Identity tells sets of keys apart without telling a key.
func (k TicketKeys) Identity() string {
	ids := slices.Sorted(maps.Keys(k.Keys))
	sum := sha256.Sum256([]byte(k.Current + " " + strings.Join(ids, " ")))
	return hex.EncodeToString(sum[:])[:16]
}

// NewTicketKeys makes a first key from the given randomness.
func NewTicketKeys(random io.Reader) (TicketKeys, error) {
	raw := make([]byte, ticketKeyBytes+4)
	if _, err := io.ReadFull(random, raw); err != nil {
		return TicketKeys{}, fmt.Errorf("make a ticket key: %w", err)
	}
	id := hex.EncodeToString(raw[ticketKeyBytes:])
	return TicketKeys{
		Current: id,
		Keys:    map[string]string{id: base64.StdEncoding.EncodeToString(raw[:ticketKeyBytes])},
	}, nil
}

// ParseTicketKeys reads and checks the content of the Secret. Its errors never hold a key.
func ParseTicketKeys(raw []byte) (TicketKeys, error) {
	var keys TicketKeys
	if err := json.Unmarshal(raw, &keys); err != nil {
		return TicketKeys{}, errors.New("it is not a JSON document of the form {\"current\":\"<id>\",\"keys\":{\"<id>\":\"<base64>\"}}")
	}
	if _, ok := keys.Keys[keys.Current]; !ok {
		return TicketKeys{}, fmt.Errorf("its current key %q is not among its keys", keys.Current)
	}
	for id, encoded := range keys.Keys {
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(key) != ticketKeyBytes {
			return TicketKeys{}, fmt.Errorf("its key %q is not %d bytes in base64", id, ticketKeyBytes)
		}
	}
	return keys, nil
}

// TicketSecret renders the Secret. It is created, never applied: applying could replace keys that a stale
// read did not show, and tickets sealed with a lost key cannot be opened.
func TicketSecret(tenant *v1alpha1.UploadTenant, keys TicketKeys) (*corev1.Secret, error) {
	raw, err := json.Marshal(keys)
	if err != nil {
		return nil, fmt.Errorf("encode ticket keys: %w", err)
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name:      TicketSecretName(tenant),
			Namespace: tenant.Namespace,
			Labels:    Labels(tenant),
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(tenant, v1alpha1.GroupVersion.WithKind("UploadTenant")),
			},
		},
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{TicketKeysKey: raw},
	}, nil
}
