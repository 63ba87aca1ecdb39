// Package demo takes a cluster from nothing to an uploaded, verified, recorded and delivered file, step by
// step: what `make demo` shows to a person, `make e2e` asserts.
//
// It acts as the people and programs around the product and shares no code with it but the API types: the
// platform team calls RAM, a mini-program uploads with plain HTTP, an application receives events.
package demo
