// Package signer holds the suites that drive the real signer against the emulated cloud over HTTP.
package signer
