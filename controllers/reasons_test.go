package controllers_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// reasonsElsewhere are reasons that need a manager of their own, with the file and the test that produce and
// clear them.
var reasonsElsewhere = map[string][2]string{
	v1alpha1.ReasonPausedByManager: {"../test/convergence/paused_test.go", "TestAPausedManagerDoesNothing"},
}

// reasonLog knows which reasons the tests awaited, and which of them they saw go away.
type reasonLog struct {
	mu sync.Mutex
	// open are the awaited reasons of an object that still stand, as "condition/reason".
	open          map[types.UID]map[string]bool
	told, cleared map[string]bool
}

var reasons = &reasonLog{open: map[types.UID]map[string]bool{}, told: map[string]bool{}, cleared: map[string]bool{}}

// awaited notes that a test waited for the condition, and what went away meanwhile.
func (l *reasonLog) awaited(o client.Object, condition, reason string) {
	conditions, _ := conditionsOf(o)
	l.seen(o, conditions)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told[reason] = true
	if l.open[o.GetUID()] == nil {
		l.open[o.GetUID()] = map[string]bool{}
	}
	l.open[o.GetUID()][condition+"/"+reason] = true
}

// seen notes which awaited reasons the object no longer has; one that is gone has none.
func (l *reasonLog) seen(o client.Object, conditions []metav1.Condition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := map[string]bool{}
	for _, c := range conditions {
		held[c.Type+"/"+c.Reason] = true
	}
	for key := range l.open[o.GetUID()] {
		if !held[key] {
			_, reason, _ := strings.Cut(key, "/")
			l.cleared[reason] = true
			delete(l.open[o.GetUID()], key)
		}
	}
}

// event notes the reason of an event. Events do not go away.
func (l *reasonLog) event(reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told[reason], l.cleared[reason] = true, true
}

// problems are the reasons of the API that no test produced, or that no test saw go.
func (l *reasonLog) problems() ([]string, error) {
	declared, err := constants("../api/v1alpha1/conditions.go", "Reason")
	if err != nil {
		return nil, err
	}
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		reason := declared[name]
		if test, ok := reasonsElsewhere[reason]; ok {
			if !declares(test[0], test[1]) {
				problems = append(problems, fmt.Sprintf("%s: %s does not have %s", name, test[0], test[1]))
			}
			continue
		}
		if !l.told[reason] {
			problems = append(problems, name+": no test awaits it")
		} else if !l.cleared[reason] {
			problems = append(problems, name+": no test sees it go")
		}
	}
	return problems, nil
}

// constants are the string constants of a file whose names have the prefix, by name.
func constants(file, prefix string) (map[string]string, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			if literal, ok := spec.Values[i].(*ast.BasicLit); ok && strings.HasPrefix(name.Name, prefix) {
				found[name.Name], err = strconv.Unquote(literal.Value)
			}
		}
		return true
	})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%s declares no constant %s…", file, prefix)
	}
	return found, err
}

// declares tells whether a file has a function.
func declares(file, function string) bool {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	return err == nil && parsed.Scope.Lookup(function) != nil
}
