package index

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

// States of an event.
const (
	statePending   = "pending"
	stateDelivered = "delivered"
	stateDead      = "dead"
)

// Claim returns at most limit due events and hides them from other claims for lease. Of one upload only
// the oldest undelivered event is handed out, so that its events arrive in order.
func (s *Store) Claim(ctx context.Context, limit int, lease time.Duration) ([]Delivery, error) {
	now := s.clock()
	rows, err := s.write.QueryContext(ctx, s.dialect.rebind(`WITH due AS MATERIALIZED (SELECT o.seq FROM outbox o WHERE o.state = '`+statePending+`' AND o.next_at <= ?
		AND NOT EXISTS (SELECT 1 FROM outbox p WHERE p.upload_id = o.upload_id AND p.seq < o.seq AND p.state = '`+statePending+`')
		ORDER BY o.next_at, o.seq LIMIT ?`+s.dialect.skipLocked()+`)
		UPDATE outbox SET next_at = ?, attempts = attempts + 1 WHERE seq IN (SELECT seq FROM due)
		RETURNING seq, event_id, upload_id, type, payload, attempts, created_at`), now.UnixMilli(), limit, now.Add(lease).UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("claim events: %w", err)
	}
	defer rows.Close()
	var due []Delivery
	for rows.Next() {
		var d Delivery
		var payload string
		var created int64
		if err := rows.Scan(&d.Seq, &d.ID, &d.UploadID, &d.Type, &payload, &d.Attempts, &created); err != nil {
			return nil, fmt.Errorf("claim events: %w", err)
		}
		d.Payload, d.CreatedAt = []byte(payload), time.UnixMilli(created).UTC()
		due = append(due, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("claim events: %w", err)
	}
	slices.SortFunc(due, func(a, b Delivery) int { return cmp.Compare(a.Seq, b.Seq) })
	return due, nil
}

// Delivered marks an event as done.
func (s *Store) Delivered(ctx context.Context, seq int64) error {
	_, err := s.write.ExecContext(ctx, s.dialect.rebind(`UPDATE outbox SET state = '`+stateDelivered+`', last_error = '', next_at = ? WHERE seq = ?`), s.clock().UnixMilli(), seq)
	if err != nil {
		return fmt.Errorf("mark event delivered: %w", err)
	}
	return nil
}

// Retry makes an event due again at next; reason is kept for people.
func (s *Store) Retry(ctx context.Context, seq int64, next time.Time, reason string) error {
	return s.settle(ctx, seq, statePending, next, reason)
}

// Bury gives an event up; it stays listed as a dead letter.
func (s *Store) Bury(ctx context.Context, seq int64, reason string) error {
	return s.settle(ctx, seq, stateDead, s.clock(), reason)
}

func (s *Store) settle(ctx context.Context, seq int64, state string, next time.Time, reason string) error {
	// Another replica may have delivered it since, when this one took longer than its lease.
	_, err := s.write.ExecContext(ctx, s.dialect.rebind(`UPDATE outbox SET state = ?, next_at = ?, last_error = ? WHERE seq = ? AND state = '`+statePending+`'`), state, next.UnixMilli(), reason, seq)
	if err != nil {
		return fmt.Errorf("settle event: %w", err)
	}
	return nil
}

// Backlog is what the outbox still holds.
type Backlog struct {
	Pending int64
	Dead    int64
	// Oldest pending event, zero when there is none.
	Oldest time.Time
	// NextDue is when the next pending event is due, zero when there is none.
	NextDue time.Time
}

// Backlog counts undelivered events.
func (s *Store) Backlog(ctx context.Context) (Backlog, error) {
	var b Backlog
	var oldest, next sql.NullInt64
	err := s.read.QueryRowContext(ctx, `SELECT COUNT(*), MIN(created_at), MIN(next_at) FROM outbox WHERE state = '`+statePending+`'`).Scan(&b.Pending, &oldest, &next)
	if err == nil {
		err = s.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM outbox WHERE state = '`+stateDead+`'`).Scan(&b.Dead)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Backlog{}, fmt.Errorf("count events: %w", err)
	}
	if oldest.Valid {
		b.Oldest, b.NextDue = time.UnixMilli(oldest.Int64).UTC(), time.UnixMilli(next.Int64).UTC()
	}
	return b, nil
}

// Prune removes delivered events that are older than before, and returns how many.
func (s *Store) Prune(ctx context.Context, before time.Time) (int64, error) {
	res, err := s.write.ExecContext(ctx, s.dialect.rebind(`DELETE FROM outbox WHERE state = '`+stateDelivered+`' AND next_at < ?`), before.UnixMilli())
	if err != nil {
		return 0, fmt.Errorf("prune events: %w", err)
	}
	return res.RowsAffected()
}

// ReleaseClaims makes every pending event and verification due now. It is for a process that has the database for itself
// and has just started: what an earlier process claimed before it was killed need not wait for its lease.
func (s *Store) ReleaseClaims(ctx context.Context) error {
	now := s.clock().UnixMilli()
	if _, err := s.write.ExecContext(ctx, s.dialect.rebind(`UPDATE outbox SET next_at = ? WHERE state = '`+statePending+`' AND next_at > ?`), now, now); err != nil {
		return fmt.Errorf("release claimed events: %w", err)
	}
	if _, err := s.write.ExecContext(ctx, s.dialect.rebind(`UPDATE verifications SET next_at = ? WHERE next_at > ?`), now, now); err != nil {
		return fmt.Errorf("release claimed verifications: %w", err)
	}
	return nil
}
