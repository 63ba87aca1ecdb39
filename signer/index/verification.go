package index

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Verification is an upload whose object is still to be looked at, or to be dealt with after a rejection.
type Verification struct {
	Upload   Upload
	Attempts int
	// Since is when the upload was recorded.
	Since time.Time
	// Until is the end of the claim's lease.
	Until time.Time
}

// insertVerifications queues what was recorded with StatusVerifying.
func (s *Store) insertVerifications(ctx context.Context, tx *sql.Tx, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	const columns = 3
	now := s.clock().UnixMilli()
	args := make([]any, 0, len(ids)*columns)
	for _, id := range ids {
		args = append(args, id, now, now)
	}
	_, err := tx.ExecContext(ctx, s.dialect.rebind(`INSERT INTO verifications (upload_id, next_at, created_at) VALUES `+valueRows(len(ids), columns)+` ON CONFLICT DO NOTHING`), args...)
	if err != nil {
		return fmt.Errorf("queue verifications: %w", err)
	}
	return nil
}

// ClaimVerifications returns at most limit verifications that are due and hides them from other claims for
// lease, so that a replica that dies leaves them to the others.
func (s *Store) ClaimVerifications(ctx context.Context, limit int, lease time.Duration) ([]Verification, error) {
	claimed, err := s.claimVerifications(ctx, limit, lease)
	if err != nil {
		return nil, fmt.Errorf("claim verifications: %w", err)
	}
	if len(claimed) == 0 {
		return nil, nil
	}
	condition, args := s.dialect.in("id", slices.Collect(maps.Keys(claimed)))
	var due []Verification
	err = s.each(ctx, `SELECT `+uploadColumns+` FROM uploads WHERE `+condition+` ORDER BY id`, args, func(scan func(...any) error) error {
		u, err := scanUpload(scan)
		item := claimed[u.ID]
		item.Upload = u
		due = append(due, item)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read uploads to verify: %w", err)
	}
	return due, nil
}

// claimVerifications returns what was claimed by upload id. Its rows are closed when it returns, before the
// next query: the embedded database has one connection.
func (s *Store) claimVerifications(ctx context.Context, limit int, lease time.Duration) (map[string]Verification, error) {
	now := s.clock()
	until := now.Add(lease).UnixMilli()
	rows, err := s.write.QueryContext(ctx, s.dialect.rebind(`WITH due AS MATERIALIZED (SELECT o.upload_id FROM verifications o WHERE o.next_at <= ? ORDER BY o.next_at LIMIT ?`+s.dialect.skipLocked()+`)
		UPDATE verifications SET next_at = ?, attempts = attempts + 1 WHERE upload_id IN (SELECT upload_id FROM due) RETURNING upload_id, attempts, created_at`),
		now.UnixMilli(), limit, until)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	claimed := map[string]Verification{}
	for rows.Next() {
		var id string
		var since int64
		v := Verification{Until: time.UnixMilli(until).UTC()}
		if err := rows.Scan(&id, &v.Attempts, &since); err != nil {
			return nil, err
		}
		v.Since = time.UnixMilli(since).UTC()
		claimed[id] = v
	}
	return claimed, rows.Err()
}

// RetryVerification makes a claimed verification due again at next, unless it has become due in between.
func (s *Store) RetryVerification(ctx context.Context, v Verification, next time.Time) error {
	_, err := s.write.ExecContext(ctx, s.dialect.rebind(`UPDATE verifications SET next_at = ? WHERE upload_id = ? AND next_at = ?`), next.UnixMilli(), v.Upload.ID, v.Until.UnixMilli())
	if err != nil {
		return fmt.Errorf("postpone a verification: %w", err)
	}
	return nil
}

// Verdict is the outcome of a verification.
type Verdict struct {
	// Status is StatusCompleted or StatusRejected; Reason says why it is the latter.
	Status, Reason string
	// Keep leaves the verification queued, because something is still to be done to the object.
	Keep bool
}

// SettleVerification gives an upload its final status and writes the event of it, which may be nil, in one
// transaction. It returns false, without an error, when the upload has its status already or was deleted.
func (s *Store) SettleVerification(ctx context.Context, id string, v Verdict, event func(Upload) (*Event, error)) (settled bool, err error) {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return false, fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback()
	res, err := tx.ExecContext(ctx, s.dialect.rebind(`UPDATE uploads SET status = ?, reason = ? WHERE id = ? AND status = '`+StatusVerifying+`' AND deleted_at = 0`), v.Status, v.Reason, id)
	if err != nil {
		return false, fmt.Errorf("settle a verification: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("settle a verification: %w", err)
	}
	if n > 0 && event != nil {
		u, err := s.existing(ctx, tx, id)
		if err != nil {
			return false, err
		}
		e, err := event(u)
		if err != nil {
			return false, err
		}
		if err := s.insertEvents(ctx, tx, []*Event{e}); err != nil {
			return false, err
		}
	}
	if !v.Keep || n == 0 {
		if _, err := tx.ExecContext(ctx, s.dialect.rebind(`DELETE FROM verifications WHERE upload_id = ?`), id); err != nil {
			return false, fmt.Errorf("settle a verification: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return false, fmt.Errorf("commit: %w", err)
	}
	return n > 0, nil
}

// DropVerification forgets a verification that has nothing left to do.
func (s *Store) DropVerification(ctx context.Context, id string) error {
	if _, err := s.write.ExecContext(ctx, s.dialect.rebind(`DELETE FROM verifications WHERE upload_id = ?`), id); err != nil {
		return fmt.Errorf("drop a verification: %w", err)
	}
	return nil
}

// Unverified counts uploads whose verification is not done, and tells since when the oldest waits; the time
// is zero when there is none.
func (s *Store) Unverified(ctx context.Context) (n int64, oldest time.Time, err error) {
	var since sql.NullInt64
	if err := s.read.QueryRowContext(ctx, `SELECT COUNT(*), MIN(created_at) FROM verifications`).Scan(&n, &since); err != nil {
		return 0, time.Time{}, fmt.Errorf("count verifications: %w", err)
	}
	if since.Valid {
		oldest = time.UnixMilli(since.Int64).UTC()
	}
	return n, oldest, nil
}
