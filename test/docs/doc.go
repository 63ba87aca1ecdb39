// Package docs holds the tests that keep the documentation true: fields and reasons against the code, YAML against a
// real API server and the chart, links against the files, and each translation against its original.
package docs
