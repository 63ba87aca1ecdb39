package index

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// This file drives PostgreSQL for database/sql with pgconn, the connection layer of pgx, and texts only.
// The signer keeps texts and integers, so that all the types of pgx would be 3 MiB of every signer for nothing.

// maxPrepared statements of a connection; group commit makes one for each size of a batch.
const maxPrepared = 200

// pgConnector opens connections with the configuration of the moment.
type pgConnector struct {
	load  func() (*pgconn.Config, error)
	clock func() time.Time
}

// Connect implements driver.Connector. Its errors hold no connection settings.
func (c pgConnector) Connect(ctx context.Context) (driver.Conn, error) {
	config, err := c.load()
	if err != nil {
		return nil, err
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	var failed *pgconn.ConnectError
	if errors.As(err, &failed) {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", failed.Unwrap())
	}
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	return &pgConn{conn: conn, prepared: map[string]string{}, clock: c.clock, used: c.clock()}, nil
}

// Driver implements driver.Connector.
func (c pgConnector) Driver() driver.Driver { return pgDriver{} }

type pgDriver struct{}

// Open implements driver.Driver.
func (pgDriver) Open(string) (driver.Conn, error) {
	return nil, errors.New("use the connector")
}

// pgConn is one connection; database/sql uses it from one goroutine at a time.
type pgConn struct {
	conn     *pgconn.PgConn
	prepared map[string]string // query -> name
	clock    func() time.Time
	used     time.Time
}

// Prepare implements driver.Conn; database/sql does not need it for a connection that queries directly.
func (c *pgConn) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("prepared statements are made as needed")
}

// Close implements driver.Conn.
func (c *pgConn) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return c.conn.Close(ctx)
}

// IsValid implements driver.Validator.
func (c *pgConn) IsValid() bool { return !c.conn.IsClosed() }

// ResetSession implements driver.SessionResetter: a connection that rested is asked whether it lives, so
// that a server which came back costs no callback.
func (c *pgConn) ResetSession(ctx context.Context) error {
	if c.conn.IsClosed() || c.conn.TxStatus() != 'I' {
		return driver.ErrBadConn
	}
	now := c.clock()
	if now.Sub(c.used) > time.Second && c.conn.Ping(ctx) != nil {
		return driver.ErrBadConn
	}
	c.used = now
	return nil
}

// Ping implements driver.Pinger.
func (c *pgConn) Ping(ctx context.Context) error { return retryable(c.conn.Ping(ctx)) }

// retryable tells database/sql to try another connection when the server saw nothing of the query.
func retryable(err error) error {
	if err != nil && pgconn.SafeToRetry(err) {
		return driver.ErrBadConn
	}
	return err
}

// Begin implements driver.Conn.
func (c *pgConn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// BeginTx implements driver.ConnBeginTx with the server's default isolation, READ COMMITTED.
func (c *pgConn) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	if _, err := c.conn.Exec(ctx, "BEGIN").ReadAll(); err != nil {
		return nil, retryable(err)
	}
	return pgTx{c, ctx}, nil
}

type pgTx struct {
	c   *pgConn
	ctx context.Context // of BeginTx; it bounds the commit as well
}

// Commit implements driver.Tx. PostgreSQL answers COMMIT of a failed transaction with ROLLBACK.
func (t pgTx) Commit() error {
	results, err := t.c.conn.Exec(t.ctx, "COMMIT").ReadAll()
	if err == nil && (len(results) != 1 || results[0].CommandTag.String() != "COMMIT") {
		err = errors.New("the transaction was rolled back")
	}
	return err
}

// Rollback implements driver.Tx.
func (t pgTx) Rollback() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err := t.c.conn.Exec(ctx, "ROLLBACK").ReadAll()
	if err != nil {
		return errors.Join(err, t.c.conn.Close(ctx)) // never back into the pool
	}
	return nil
}

// CheckNamedValue implements driver.NamedValueChecker. Texts are cleaned of what PostgreSQL refuses: a
// client may put any byte into an id or a cursor, and must learn that nothing has that name.
func (c *pgConn) CheckNamedValue(v *driver.NamedValue) error {
	if list, ok := v.Value.([]string); ok {
		v.Value = textArray(list)
		return nil
	}
	value, err := driver.DefaultParameterConverter.ConvertValue(v.Value)
	if err != nil {
		return err
	}
	switch value := value.(type) {
	case string:
		v.Value = clean(value)
	case []byte:
		v.Value = clean(string(value))
	case int64:
		v.Value = strconv.FormatInt(value, 10)
	case bool:
		v.Value = strconv.FormatBool(value)
	default:
		return fmt.Errorf("an argument of type %T is not supported", value)
	}
	return nil
}

// textArray is PostgreSQL's literal of an array of texts.
func textArray(values []string) string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	var b strings.Builder
	b.WriteByte('{')
	for i, value := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + quote.Replace(clean(value)) + `"`)
	}
	b.WriteByte('}')
	return b.String()
}

// run sends a query. Those with arguments are prepared once per connection.
func (c *pgConn) run(ctx context.Context, query string, args []driver.NamedValue) (*pgconn.ResultReader, error) {
	values := make([][]byte, len(args))
	for i, arg := range args {
		text, ok := arg.Value.(string)
		if !ok {
			return nil, fmt.Errorf("an argument of type %T is not supported", arg.Value)
		}
		values[i] = []byte(text)
	}
	if len(args) == 0 {
		return c.conn.ExecParams(ctx, query, nil, nil, nil, nil), nil
	}
	name, ok := c.prepared[query]
	if !ok {
		if len(c.prepared) >= maxPrepared {
			if _, err := c.conn.Exec(ctx, "DEALLOCATE ALL").ReadAll(); err != nil {
				return nil, retryable(err)
			}
			clear(c.prepared)
		}
		name = "q" + strconv.Itoa(len(c.prepared))
		if _, err := c.conn.Prepare(ctx, name, query, nil); err != nil {
			return nil, retryable(err)
		}
		c.prepared[query] = name
	}
	return c.conn.ExecPrepared(ctx, name, values, nil, nil), nil
}

// ExecContext implements driver.ExecerContext.
func (c *pgConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	reader, err := c.run(ctx, query, args)
	if err != nil {
		return nil, err
	}
	tag, err := reader.Close()
	if err != nil {
		return nil, retryable(err)
	}
	return driver.RowsAffected(tag.RowsAffected()), nil
}

// QueryContext implements driver.QueryerContext.
func (c *pgConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	reader, err := c.run(ctx, query, args)
	if err != nil {
		return nil, err
	}
	return &pgRows{reader: reader}, nil
}

// pgRows reads the answer as it arrives. Every value is a text, which database/sql converts.
type pgRows struct{ reader *pgconn.ResultReader }

// Columns implements driver.Rows.
func (r *pgRows) Columns() []string {
	fields := r.reader.FieldDescriptions()
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].Name
	}
	return names
}

// Close implements driver.Rows.
func (r *pgRows) Close() error {
	_, err := r.reader.Close()
	return err
}

// Next implements driver.Rows.
func (r *pgRows) Next(dest []driver.Value) error {
	if !r.reader.NextRow() {
		if err := r.Close(); err != nil {
			return err
		}
		return io.EOF
	}
	for i, value := range r.reader.Values() {
		if value == nil {
			dest[i] = nil
			continue
		}
		dest[i] = string(value)
	}
	return nil
}
