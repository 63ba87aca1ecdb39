package oss

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
)

// CallbackKeyBits is the size of the key that OSS signs callbacks with. crypto/rsa refuses keys that short since
// Go 1.24, so signing is done here by hand; everybody who verifies real callbacks must cope with it as well.
const CallbackKeyBits = 512

// CallbackKey is the RSA key that signs callbacks.
type CallbackKey struct {
	n, d *big.Int
	p, q *big.Int
	pem  []byte
}

const publicExponent = 65537

// NewCallbackKey makes a key of the given size in bits, at least CallbackKeyBits.
func NewCallbackKey(bits int) (*CallbackKey, error) {
	if bits < CallbackKeyBits {
		return nil, fmt.Errorf("callback key of %d bits: need at least %d", bits, CallbackKeyBits)
	}
	for {
		p, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			return nil, fmt.Errorf("make callback key: %w", err)
		}
		q, err := rand.Prime(rand.Reader, bits-bits/2)
		if err != nil {
			return nil, fmt.Errorf("make callback key: %w", err)
		}
		// Equal primes, or ones that e divides, are as rare as they are useless.
		if k, err := callbackKeyFrom(p, q); err == nil && k.n.BitLen() == bits {
			return k, nil
		}
	}
}

func callbackKeyFrom(p, q *big.Int) (*CallbackKey, error) {
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	d := new(big.Int).ModInverse(big.NewInt(publicExponent), phi)
	if d == nil || p.Cmp(q) == 0 {
		return nil, errors.New("unusable primes")
	}
	k := &CallbackKey{n: new(big.Int).Mul(p, q), d: d, p: p, q: q}
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: k.n, E: publicExponent})
	if err != nil {
		return nil, fmt.Errorf("encode callback key: %w", err)
	}
	k.pem = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return k, nil
}

// savedKey is the form in which a key is kept between runs.
type savedKey struct{ P, Q []byte }

// MarshalJSON writes the private key.
func (k *CallbackKey) MarshalJSON() ([]byte, error) {
	return json.Marshal(savedKey{k.p.Bytes(), k.q.Bytes()})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (k *CallbackKey) UnmarshalJSON(data []byte) error {
	var s savedKey
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	p, q := new(big.Int).SetBytes(s.P), new(big.Int).SetBytes(s.Q)
	if !p.ProbablyPrime(20) || !q.ProbablyPrime(20) {
		return errors.New("saved callback key is damaged")
	}
	read, err := callbackKeyFrom(p, q)
	if err != nil {
		return err
	}
	*k = *read
	return nil
}

// PEM is the public key as it is served.
func (k *CallbackKey) PEM() []byte { return k.pem }

// md5DigestInfo is the DER prefix of an MD5 digest in a PKCS #1 v1.5 signature (RFC 8017 §9.2).
var md5DigestInfo = []byte{
	0x30, 0x20, 0x30, 0x0c, 0x06, 0x08, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x05, 0x05, 0x00, 0x04, 0x10,
}

// Sign returns the base64 PKCS #1 v1.5 signature over the MD5 of text.
func (k *CallbackKey) Sign(text []byte) string {
	digest := md5.Sum(text)
	size := (k.n.BitLen() + 7) / 8
	em := make([]byte, size)
	em[1] = 1
	tail := size - len(md5DigestInfo) - len(digest)
	for i := 2; i < tail-1; i++ {
		em[i] = 0xff
	}
	copy(em[tail:], md5DigestInfo)
	copy(em[tail+len(md5DigestInfo):], digest[:])
	signature := new(big.Int).Exp(new(big.Int).SetBytes(em), k.d, k.n)
	return base64.StdEncoding.EncodeToString(signature.FillBytes(make([]byte, size)))
}
