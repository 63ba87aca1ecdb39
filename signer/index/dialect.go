package index

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// dialect is where the two databases differ. Queries are written once, with ? for arguments; what a query
// needs beyond that is here.
type dialect interface {
	// rebind replaces every ? of a query with the database's own placeholder.
	rebind(query string) string
	// schema translates a statement of a migration.
	schema(statement string) string
	// lockSchema keeps other replicas from migrating until tx ends.
	lockSchema(ctx context.Context, tx *sql.Tx) error
	// in returns a condition that column is one of values, and its arguments.
	in(column string, values []string) (condition string, args []any)
	// skipLocked follows a SELECT whose rows several replicas compete for.
	skipLocked() string
	// unavailable tells an error of the database as a whole from one of a single statement.
	unavailable(err error) bool
}

// numberPlaceholders replaces each ? with $1, $2 and so on. The queries of this package hold no other
// question mark.
func numberPlaceholders(query string) string {
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}
