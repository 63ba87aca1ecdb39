// Package threats holds the threat model in docs/guides against the tests that it names.
package threats
