package index

import (
	"context"
	"fmt"
	"time"
)

// MediaCheck is one question to WeChat about an upload.
type MediaCheck struct {
	TraceID string
	// Verdict is empty until it came.
	Verdict string
	AskedAt time.Time
}

// MediaAsked remembers that traceID is about upload id.
func (s *Store) MediaAsked(ctx context.Context, traceID, id string) error {
	_, err := s.write.ExecContext(ctx, s.dialect.rebind(`INSERT INTO media_checks (trace_id, upload_id, created_at) VALUES (?,?,?)
		ON CONFLICT (trace_id) DO UPDATE SET upload_id = excluded.upload_id`), traceID, id, s.clock().UnixMilli())
	if err != nil {
		return fmt.Errorf("remember a media check: %w", err)
	}
	return nil
}

// MediaAnswered keeps the verdict of traceID, the first one if it comes twice, and makes the upload that it
// is about due for its verification. The question may not be known yet: verdicts can overtake it.
func (s *Store) MediaAnswered(ctx context.Context, traceID, verdict string) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback()
	now := s.clock().UnixMilli()
	if _, err := tx.ExecContext(ctx, s.dialect.rebind(`INSERT INTO media_checks (trace_id, verdict, created_at) VALUES (?,?,?)
		ON CONFLICT (trace_id) DO UPDATE SET verdict = excluded.verdict WHERE media_checks.verdict = ''`), traceID, verdict, now); err != nil {
		return fmt.Errorf("keep a media verdict: %w", err)
	}
	// Also what is due, or claimed until a time that has passed: whoever is at it must not postpone it.
	if _, err := tx.ExecContext(ctx, s.dialect.rebind(`UPDATE verifications SET next_at = ? WHERE upload_id IN (SELECT upload_id FROM media_checks WHERE trace_id = ?)`),
		now, traceID); err != nil {
		return fmt.Errorf("wake a verification: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// MediaChecks returns the questions about upload id, newest first.
func (s *Store) MediaChecks(ctx context.Context, id string) ([]MediaCheck, error) {
	var list []MediaCheck
	err := s.each(ctx, `SELECT trace_id, verdict, created_at FROM media_checks WHERE upload_id = ? ORDER BY created_at DESC, trace_id`, []any{id}, func(scan func(...any) error) error {
		var c MediaCheck
		var asked int64
		err := scan(&c.TraceID, &c.Verdict, &asked)
		c.AskedAt = time.UnixMilli(asked).UTC()
		list = append(list, c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read media checks: %w", err)
	}
	return list, nil
}

// PruneMediaChecks forgets questions from before t.
func (s *Store) PruneMediaChecks(ctx context.Context, t time.Time) error {
	if _, err := s.write.ExecContext(ctx, s.dialect.rebind(`DELETE FROM media_checks WHERE created_at < ?`), t.UnixMilli()); err != nil {
		return fmt.Errorf("prune media checks: %w", err)
	}
	return nil
}
