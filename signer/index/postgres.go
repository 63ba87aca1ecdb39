package index

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// postgresConns bounds the connections of one replica, so that many tenants fit into one database.
	postgresConns = 8
	// postgresIdle connections stay open for the next callback.
	postgresIdle = 2
	// postgresLifetime makes a replica move to a new primary or a rotated password in bounded time.
	postgresLifetime = 30 * time.Minute
	// postgresCommitters is how many transactions of records run at the same time: while one waits for the
	// server's disk, the next gathers and sends its rows. More did not measure faster.
	postgresCommitters = 2
	// firstMigration bounds how long a start waits for a server that does not answer.
	firstMigration = 2 * time.Second
	// migrationTime leaves room for a new index on a large table.
	migrationTime = 10 * time.Minute
)

// PostgresOptions name the database of one tenant.
type PostgresOptions struct {
	// DSNFile holds the connection string. It is read again for each connection, so that a rotated
	// password needs no restart.
	DSNFile string
	// Schema of the tenant; see SchemaName.
	Schema string
	// Clock defaults to time.Now.
	Clock func() time.Time
	// Logger defaults to one that discards.
	Logger *slog.Logger
}

// OpenPostgres opens the tenant's schema in the database that the DSN file names and creates or migrates
// it. A server that cannot be reached is no error: the store keeps trying, and Ping tells. The file must
// hold a valid connection string.
func OpenPostgres(ctx context.Context, opts PostgresOptions) (*Store, error) {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	load := func() (*pgconn.Config, error) { return loadDSN(opts.DSNFile, opts.Schema) }
	if _, err := load(); err != nil {
		return nil, err
	}
	db := sql.OpenDB(pgConnector{load, opts.Clock})
	db.SetMaxOpenConns(postgresConns)
	db.SetMaxIdleConns(postgresIdle)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(postgresLifetime)
	s := newStore(postgresDialect{schemaName: opts.Schema}, opts.Clock)
	s.log, s.read, s.write = opts.Logger, db, db
	first, cancel := context.WithTimeout(ctx, firstMigration)
	defer cancel()
	if err := s.migrate(first); err != nil {
		s.log.Error("the index is not available; trying again", "error", err)
		s.wakeMaintainer()
	}
	s.start(postgresCommitters)
	s.background.Go(s.maintain)
	return s, nil
}

// SchemaName is the schema of the tenant ("namespace/name") for its part of a bucket. It holds the name for
// people and a hash of everything that tells two indexes apart, so that neither two tenants nor two
// clusters share a schema, and a tenant that is created anew finds its records.
func SchemaName(tenant, bucket, prefix string) string {
	name := []byte(strings.ToLower(tenant))
	for i, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			name[i] = '_'
		}
	}
	sum := sha256.Sum256([]byte(tenant + "\n" + bucket + "\n" + prefix))
	// PostgreSQL cuts names at 63 bytes: "ut_" + 43 + "_" + 16.
	return "ut_" + string(name[:min(len(name), 43)]) + "_" + hex.EncodeToString(sum[:8])
}

// loadDSN never quotes the connection string: it holds the password.
func loadDSN(file, schema string) (*pgconn.Config, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the PostgreSQL connection string: %w", err)
	}
	text := strings.TrimSpace(string(raw))
	config, err := pgconn.ParseConfig(text)
	if err != nil || text == "" {
		return nil, fmt.Errorf("%s holds no usable connection string; expected one like postgres://user:password@host:5432/database?sslmode=verify-full, with existing files in sslrootcert, sslcert and sslkey", file)
	}
	// The tenant's schema and no other, whatever the role or the string say.
	config.RuntimeParams["search_path"] = schema
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "uploadtenant-signer"
	}
	// A replica that hangs in the middle of a transaction must not hold its locks for ever.
	config.RuntimeParams["idle_in_transaction_session_timeout"] = "30000"
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 2 * time.Second
	}
	return config, nil
}

// maintain makes the schema whole again after the server was away or the database was replaced.
func (s *Store) maintain() {
	const firstPause, longestPause = 250 * time.Millisecond, 10 * time.Second
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.repair:
		}
		for pause := firstPause; ; pause = min(2*pause, longestPause) {
			err := s.migrateWithin(ctx, migrationTime)
			if err == nil {
				s.log.Info("the index is available")
				break
			}
			if ctx.Err() != nil {
				return
			}
			s.log.Error("the index is not available; trying again", "error", err, "in", pause)
			timer := time.NewTimer(pause)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
		}
	}
}

func (s *Store) migrateWithin(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return s.migrate(ctx)
}

// postgresDialect speaks to a server that tenants and replicas share.
type postgresDialect struct{ schemaName string }

func (postgresDialect) rebind(query string) string { return numberPlaceholders(query) }

// ddlWords are the words of the migrations that PostgreSQL has others for. Texts compare by their bytes,
// as in SQLite and in Go, whatever the collation of the database.
var ddlWords = strings.NewReplacer(
	" TEXT", ` TEXT COLLATE "C"`,
	" INTEGER PRIMARY KEY AUTOINCREMENT", " BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
	" INTEGER", " BIGINT",
	" WITHOUT ROWID", "",
)

func (postgresDialect) schema(statement string) string { return ddlWords.Replace(statement) }

func (postgresDialect) skipLocked() string { return " FOR UPDATE OF o SKIP LOCKED" }

func (postgresDialect) in(column string, values []string) (string, []any) {
	return column + " = ANY(?)", []any{values}
}

// lockSchema also creates the schema, unless somebody with more rights did before.
func (d postgresDialect) lockSchema(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, d.schemaName); err != nil {
		return fmt.Errorf("lock the schema: %w", err)
	}
	var exists bool
	if err := tx.QueryRowContext(ctx, `SELECT to_regnamespace($1) IS NOT NULL`, d.schemaName).Scan(&exists); err != nil {
		return fmt.Errorf("look for the schema: %w", err)
	}
	if exists {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `CREATE SCHEMA "`+strings.ReplaceAll(d.schemaName, `"`, `""`)+`"`); err != nil {
		return fmt.Errorf("create the schema %s (the role needs CREATE on the database, or a schema of this name that it owns): %w", d.schemaName, err)
	}
	return nil
}

// unavailable: only bad data (22), a broken constraint (23), a lost race (40) and a value that is too large
// for an index (54) speak of one statement.
func (postgresDialect) unavailable(err error) bool {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || len(refused.Code) != 5 {
		return true
	}
	switch refused.Code[:2] {
	case "22", "23", "40", "54":
		return false
	}
	return true
}
