package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// KnownKeys returns which of the keys need no look at their object: true for recorded uploads, false for
// uploads that were deleted, whose object should be gone. Keys of strangers with the same ETag count as known.
func (s *Store) KnownKeys(ctx context.Context, etags map[string]string) (map[string]bool, error) {
	if len(etags) == 0 {
		return nil, nil
	}
	condition, args := s.dialect.in("object_key", slices.Collect(maps.Keys(etags)))
	known := make(map[string]bool, len(etags))
	err := s.each(ctx, `SELECT object_key, deleted_at FROM uploads WHERE `+condition, args, func(scan func(...any) error) error {
		var key string
		var deleted int64
		err := scan(&key, &deleted)
		known[key] = deleted == 0
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look up keys: %w", err)
	}
	err = s.each(ctx, `SELECT object_key, etag FROM strangers WHERE `+condition, args, func(scan func(...any) error) error {
		var key, etag string
		err := scan(&key, &etag)
		if etag == etags[key] {
			known[key] = true
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look up strangers: %w", err)
	}
	return known, nil
}

// each runs a query and calls f for every row.
func (s *Store) each(ctx context.Context, query string, args []any, f func(scan func(...any) error) error) error {
	rows, err := s.read.QueryContext(ctx, s.dialect.rebind(query), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// MarkStranger remembers an object below the prefix that is no upload of this tenant, so that the sweeper
// does not look at it again until it changes. ticketKey names the unknown key that its ticket was sealed
// with, or is empty.
func (s *Store) MarkStranger(ctx context.Context, key, etag, ticketKey string) error {
	_, err := s.write.ExecContext(ctx, s.dialect.rebind(`INSERT INTO strangers (object_key, etag, ticket_key) VALUES (?,?,?)
		ON CONFLICT (object_key) DO UPDATE SET etag = excluded.etag, ticket_key = excluded.ticket_key`), key, etag, clean(ticketKey))
	if err != nil {
		return fmt.Errorf("remember stranger: %w", err)
	}
	return nil
}

// ForgetStrangers makes the sweeper look again at objects whose ticket was sealed with one of ticketKeys,
// which are known now, and returns how many there are.
func (s *Store) ForgetStrangers(ctx context.Context, ticketKeys []string) (int64, error) {
	if len(ticketKeys) == 0 {
		return 0, nil
	}
	condition, args := s.dialect.in("ticket_key", ticketKeys)
	res, err := s.write.ExecContext(ctx, s.dialect.rebind(`DELETE FROM strangers WHERE ticket_key <> '' AND `+condition), args...)
	if err != nil {
		return 0, fmt.Errorf("forget strangers: %w", err)
	}
	return res.RowsAffected()
}

// Lease makes holder the only one for name until d has passed, and returns whether it is. The holder may renew.
func (s *Store) Lease(ctx context.Context, name, holder string, d time.Duration) (bool, error) {
	now := s.clock()
	res, err := s.write.ExecContext(ctx, s.dialect.rebind(`INSERT INTO leases (name, holder, until) VALUES (?,?,?)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE leases.until < ? OR leases.holder = excluded.holder`),
		name, holder, now.Add(d).UnixMilli(), now.UnixMilli())
	if err != nil {
		return false, fmt.Errorf("take lease: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("take lease: %w", err)
	}
	return n > 0, nil
}

// SetState and State keep small texts, such as how far the sweeper came.
func (s *Store) SetState(ctx context.Context, name, value string) error {
	_, err := s.write.ExecContext(ctx, s.dialect.rebind(`INSERT INTO state (name, value) VALUES (?,?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`), name, value)
	if err != nil {
		return fmt.Errorf("keep state: %w", err)
	}
	return nil
}

// State returns what SetState kept, or "".
func (s *Store) State(ctx context.Context, name string) (string, error) {
	var value string
	err := s.read.QueryRowContext(ctx, s.dialect.rebind(`SELECT value FROM state WHERE name = ?`), name).Scan(&value)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read state: %w", err)
	}
	return value, nil
}

// Delete marks user's upload as deleted and writes event, which may be nil, in one transaction. It returns
// the upload as it was. The object is the caller's to delete afterwards; the sweeper finishes what fails.
func (s *Store) Delete(ctx context.Context, user, id string, event func(Upload) (*Event, error)) (Upload, error) {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return Upload{}, fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback()
	u, err := s.existing(ctx, tx, id)
	switch {
	case errors.Is(err, ErrConflict) || err == nil && u.User != user:
		return Upload{}, ErrNotFound
	case err != nil:
		return u, err
	}
	if _, err := tx.ExecContext(ctx, s.dialect.rebind(`UPDATE uploads SET deleted_at = ? WHERE id = ? AND deleted_at = 0`), s.clock().UnixMilli(), id); err != nil {
		return Upload{}, fmt.Errorf("mark deleted: %w", err)
	}
	if event != nil {
		e, err := event(u)
		if err != nil {
			return Upload{}, err
		}
		if err := s.insertEvents(ctx, tx, []*Event{e}); err != nil {
			return Upload{}, err
		}
	}
	if err := tx.Commit(); err != nil {
		return Upload{}, fmt.Errorf("commit: %w", err)
	}
	return u, nil
}

// ByHash returns the newest completed upload with this content, of user only when user is not empty, or
// ErrNotFound. Hashes in the index come from OSS.
func (s *Store) ByHash(ctx context.Context, user, md5 string, size int64) (Upload, error) {
	query, args := `SELECT `+uploadColumns+` FROM uploads WHERE md5 = ? AND size = ? AND status = '`+StatusCompleted+`' AND deleted_at = 0`, []any{md5, size}
	if user != "" {
		query, args = query+` AND user_id = ?`, append(args, user)
	}
	u, err := scanUpload(s.read.QueryRowContext(ctx, s.dialect.rebind(query+` ORDER BY id DESC LIMIT 1`), args...).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return Upload{}, ErrNotFound
	}
	if err != nil {
		return Upload{}, fmt.Errorf("look up hash: %w", err)
	}
	return u, nil
}

// perHash bounds how many uploads OwnHashes returns for one hash: a user may have any number of copies.
const perHash = 10

// OwnHashes returns which of the hashes user has completed uploads of, the newest few of each.
func (s *Store) OwnHashes(ctx context.Context, user string, hashes []string) ([]Upload, error) {
	if len(hashes) == 0 {
		return nil, nil
	}
	condition, args := s.dialect.in("md5", hashes)
	args = append(append([]any{user}, args...), perHash)
	var found []Upload
	err := s.each(ctx, `SELECT `+uploadColumns+` FROM (SELECT `+uploadColumns+`, ROW_NUMBER() OVER (PARTITION BY md5 ORDER BY id DESC) AS newest FROM uploads
		WHERE user_id = ? AND deleted_at = 0 AND status = '`+StatusCompleted+`' AND `+condition+`) AS own WHERE newest <= ? ORDER BY id`, args, func(scan func(...any) error) error {
		u, err := scanUpload(scan)
		found = append(found, u)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look up hashes: %w", err)
	}
	return found, nil
}

// BytesSince sums what user recorded since t; an empty user is the whole tenant.
func (s *Store) BytesSince(ctx context.Context, user string, t time.Time) (int64, error) {
	query, args := `SELECT COALESCE(SUM(size), 0) FROM uploads WHERE created_at >= ?`, []any{t.UnixMilli()}
	if user != "" {
		query, args = query+` AND user_id = ?`, append(args, user)
	}
	var sum int64
	if err := s.read.QueryRowContext(ctx, s.dialect.rebind(query), args...).Scan(&sum); err != nil {
		return 0, fmt.Errorf("sum uploads: %w", err)
	}
	return sum, nil
}

// Multipart is a multipart upload that is under way.
type Multipart struct {
	ID       string
	User     string
	Key      string
	UploadID string
	// Ticket of the object to be.
	Ticket   string
	PartSize int64
	Expires  time.Time
}

// AddMultipart remembers m.
func (s *Store) AddMultipart(ctx context.Context, m Multipart) error {
	_, err := s.write.ExecContext(ctx, s.dialect.rebind(`INSERT INTO multiparts (id, user_id, object_key, upload_id, ticket, part_size, expires_at) VALUES (?,?,?,?,?,?,?)`),
		m.ID, m.User, m.Key, m.UploadID, m.Ticket, m.PartSize, m.Expires.UnixMilli())
	if err != nil {
		return fmt.Errorf("keep multipart upload: %w", err)
	}
	return nil
}

// GetMultipart returns user's multipart upload or ErrNotFound.
func (s *Store) GetMultipart(ctx context.Context, user, id string) (Multipart, error) {
	m := Multipart{ID: id, User: user}
	var expires int64
	err := s.read.QueryRowContext(ctx, s.dialect.rebind(`SELECT object_key, upload_id, ticket, part_size, expires_at FROM multiparts WHERE id = ? AND user_id = ?`), id, user).
		Scan(&m.Key, &m.UploadID, &m.Ticket, &m.PartSize, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return Multipart{}, ErrNotFound
	}
	if err != nil {
		return Multipart{}, fmt.Errorf("read multipart upload: %w", err)
	}
	m.Expires = time.UnixMilli(expires).UTC()
	return m, nil
}

// DropMultipart forgets a multipart upload.
func (s *Store) DropMultipart(ctx context.Context, id string) error {
	if _, err := s.write.ExecContext(ctx, s.dialect.rebind(`DELETE FROM multiparts WHERE id = ?`), id); err != nil {
		return fmt.Errorf("drop multipart upload: %w", err)
	}
	return nil
}

// ExpiredMultiparts returns at most limit multipart uploads whose time is over.
func (s *Store) ExpiredMultiparts(ctx context.Context, limit int) ([]Multipart, error) {
	var list []Multipart
	err := s.each(ctx, `SELECT id, user_id, object_key, upload_id FROM multiparts WHERE expires_at < ? LIMIT ?`, []any{s.clock().UnixMilli(), limit}, func(scan func(...any) error) error {
		var m Multipart
		err := scan(&m.ID, &m.User, &m.Key, &m.UploadID)
		list = append(list, m)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list multipart uploads: %w", err)
	}
	return list, nil
}

// DeadLetter is an event that was given up.
type DeadLetter struct {
	Event
	CreatedAt time.Time
	Attempts  int
	Reason    string
}

// DeadLetters returns at most limit events that were given up, oldest first.
func (s *Store) DeadLetters(ctx context.Context, limit int) ([]DeadLetter, error) {
	var list []DeadLetter
	err := s.each(ctx, `SELECT event_id, upload_id, type, payload, created_at, attempts, last_error FROM outbox WHERE state = '`+stateDead+`' ORDER BY seq LIMIT ?`, []any{limit}, func(scan func(...any) error) error {
		var d DeadLetter
		var payload string
		var created int64
		err := scan(&d.ID, &d.UploadID, &d.Type, &payload, &created, &d.Attempts, &d.Reason)
		d.Payload, d.CreatedAt = []byte(payload), time.UnixMilli(created).UTC()
		list = append(list, d)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	return list, nil
}

// Replay makes dead letters pending again, all of them when ids is empty, and returns how many. Their age
// starts anew, so that they get the full time for delivery.
func (s *Store) Replay(ctx context.Context, ids []string) (int64, error) {
	now := s.clock().UnixMilli()
	query, args := `UPDATE outbox SET state = '`+statePending+`', attempts = 0, created_at = ?, next_at = ? WHERE state = '`+stateDead+`'`, []any{now, now}
	if len(ids) > 0 {
		condition, values := s.dialect.in("event_id", ids)
		query, args = query+` AND `+condition, append(args, values...)
	}
	res, err := s.write.ExecContext(ctx, s.dialect.rebind(query), args...)
	if err != nil {
		return 0, fmt.Errorf("replay dead letters: %w", err)
	}
	return res.RowsAffected()
}

// AddChallenge keeps the question that a client has to answer before expires.
func (s *Store) AddChallenge(ctx context.Context, id, user string, body []byte, expires time.Time) error {
	_, err := s.write.ExecContext(ctx, s.dialect.rebind(`INSERT INTO challenges (id, user_id, body, expires_at) VALUES (?,?,?,?)`), id, user, string(body), expires.UnixMilli())
	if err != nil {
		return fmt.Errorf("keep challenge: %w", err)
	}
	return nil
}

// TakeChallenge returns user's challenge and marks it as used; fresh is true once, and only in time.
func (s *Store) TakeChallenge(ctx context.Context, user, id string) (body []byte, fresh bool, err error) {
	var text string
	var expires, used int64
	err = s.write.QueryRowContext(ctx, s.dialect.rebind(`UPDATE challenges SET used = used + 1 WHERE id = ? AND user_id = ? RETURNING body, expires_at, used`), id, user).Scan(&text, &expires, &used)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, ErrNotFound
	}
	if err != nil {
		return nil, false, fmt.Errorf("take challenge: %w", err)
	}
	return []byte(text), used == 1 && s.clock().UnixMilli() < expires, nil
}

// PruneChallenges forgets challenges that ended before t.
func (s *Store) PruneChallenges(ctx context.Context, t time.Time) error {
	if _, err := s.write.ExecContext(ctx, s.dialect.rebind(`DELETE FROM challenges WHERE expires_at < ?`), t.UnixMilli()); err != nil {
		return fmt.Errorf("prune challenges: %w", err)
	}
	return nil
}
