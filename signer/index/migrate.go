package index

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

// The numbered files are written in SQLite's words; a dialect translates the few that differ, so that the
// two schemas cannot drift apart. A released file is never changed, only followed by the next; a change
// keeps the queries of the release before it working, because both run during a rolling update.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrations returns the numbered files in order; the first brings the schema to version 1.
func migrations() ([]string, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(names))
	for i, name := range names {
		if want := fmt.Sprintf("migrations/%04d_", i+1); !strings.HasPrefix(name, want) {
			return nil, fmt.Errorf("migration %s must be numbered %04d", name, i+1)
		}
		raw, err := migrationFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		texts[i] = string(raw)
	}
	return texts, nil
}

// migrate brings the schema to the latest version in one transaction. Replicas that start at the same
// time wait for each other; the later ones find nothing to do.
func (s *Store) migrate(ctx context.Context) error {
	texts, err := migrations()
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("migrate the index: %w", err)
	}
	defer tx.Rollback()
	if err := s.dialect.lockSchema(ctx, tx); err != nil {
		return fmt.Errorf("migrate the index: %w", err)
	}
	version, err := schemaVersion(ctx, tx)
	if err != nil {
		return fmt.Errorf("read the schema version: %w", err)
	}
	for v := version; v < len(texts); v++ {
		if err := s.migrateStep(ctx, tx, v+1, texts[v]); err != nil {
			return fmt.Errorf("migrate the index to version %d: %w", v+1, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("migrate the index: %w", err)
	}
	return nil
}

// schemaVersion is 0 for a new database.
func schemaVersion(ctx context.Context, tx *sql.Tx) (int, error) {
	if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)`); err != nil {
		return 0, err
	}
	var version sql.NullInt64
	err := tx.QueryRowContext(ctx, `SELECT MAX(version) FROM schema_version`).Scan(&version)
	return int(version.Int64), err
}

func (s *Store) migrateStep(ctx context.Context, tx *sql.Tx, version int, text string) error {
	for statement := range strings.SplitSeq(text, ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := tx.ExecContext(ctx, s.dialect.schema(statement)); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, s.dialect.rebind(`INSERT INTO schema_version (version) VALUES (?)`), version)
	return err
}
