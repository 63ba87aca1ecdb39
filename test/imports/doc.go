// Package imports holds the test that enforces which package may depend on which. depguard says the same
// per import line while one types; this test looks at the whole dependency graph, so that nothing comes in
// through a third package.
package imports
