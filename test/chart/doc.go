// Package chart holds the tests of charts/uploadtenant: what Helm renders for which values.
package chart
