package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxBatch bounds one group commit, so that its transaction stays short.
const maxBatch = 64

// commitTime bounds one transaction of records. OSS waits 5 s for the answer to a callback; one that was
// not written in time is found by the sweeper.
const commitTime = 3 * time.Second

type recordRequest struct {
	upload Upload
	event  *Event
	result chan recordResult
}

type recordResult struct {
	recorded Recorded
	err      error
}

// Record writes upload and, when it is new and event is not nil, its event in one transaction. It is
// idempotent by upload id: a known upload is returned as it was recorded, without a second event. Calls
// that arrive together share a transaction (group commit). It returns after the commit.
func (s *Store) Record(ctx context.Context, upload Upload, event *Event) (Recorded, error) {
	upload.clean()
	req := &recordRequest{upload: upload, event: event, result: make(chan recordResult, 1)}
	select {
	case s.records <- req:
	case <-s.quit:
		return Recorded{}, ErrClosed
	case <-ctx.Done():
		return Recorded{}, ctx.Err()
	}
	// Once queued the record will be decided; the caller must not believe otherwise because of its context.
	res := <-req.result
	return res.recorded, res.err
}

// commitLoop gathers what waits and commits it together. No timer is involved: while one transaction
// runs, the next batch collects itself.
func (s *Store) commitLoop() {
	for {
		var batch []*recordRequest
		select {
		case req := <-s.records:
			batch = append(batch, req)
		case <-s.quit:
			for {
				select {
				case req := <-s.records:
					req.result <- recordResult{err: ErrClosed}
				default:
					return
				}
			}
		}
	gather:
		for len(batch) < maxBatch {
			select {
			case req := <-s.records:
				batch = append(batch, req)
			default:
				break gather
			}
		}
		s.commit(batch)
	}
}

// commit writes batch in one transaction; when that fails, each alone, so that one bad record does not
// take the others with it. No record is to blame for a database that is away or too slow.
func (s *Store) commit(batch []*recordRequest) {
	// Replicas that record the same uploads lock them in the same order, so that none waits in a circle.
	slices.SortStableFunc(batch, func(a, b *recordRequest) int { return strings.Compare(a.upload.ID, b.upload.ID) })
	began := s.clock()
	results, err := s.commitTogether(batch)
	if err == nil {
		s.commits.Add(1)
		s.committed.Add(int64(len(batch)))
		s.commitTime.Add(int64(s.clock().Sub(began)))
	}
	unavailable := err != nil && s.dialect.unavailable(err)
	if unavailable {
		s.wakeMaintainer()
	}
	if err != nil && len(batch) > 1 && !unavailable && !errors.Is(err, context.DeadlineExceeded) {
		for _, req := range batch {
			s.commit([]*recordRequest{req})
		}
		return
	}
	for i, req := range batch {
		if err != nil {
			req.result <- recordResult{err: err}
			continue
		}
		req.result <- results[i]
	}
}

func (s *Store) commitTogether(batch []*recordRequest) ([]recordResult, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commitTime) // the records belong to many callers
	defer cancel()
	results, err := s.transaction(ctx, batch)
	if err != nil && ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err) // database/sql does not always say that time is up
	}
	return results, err
}

func (s *Store) transaction(ctx context.Context, batch []*recordRequest) ([]recordResult, error) {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback()
	created, err := s.insertUploads(ctx, tx, batch)
	if err != nil {
		return nil, err
	}
	var events []*Event
	var unverified []string
	results := make([]recordResult, len(batch))
	for i, req := range batch {
		if created[req.upload.ID] {
			delete(created, req.upload.ID) // the same upload twice in one batch is created once
			results[i].recorded = Recorded{Upload: req.upload, Created: true}
			if req.event != nil {
				events = append(events, req.event)
			}
			if req.upload.Status == StatusVerifying {
				unverified = append(unverified, req.upload.ID)
			}
			continue
		}
		results[i].recorded.Upload, results[i].err = s.existing(ctx, tx, req.upload.ID)
	}
	if err := s.insertEvents(ctx, tx, events); err != nil {
		return nil, err
	}
	if err := s.insertVerifications(ctx, tx, unverified); err != nil {
		return nil, err
	}
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	return results, nil
}

// insertUploads returns the ids that were not there before.
func (s *Store) insertUploads(ctx context.Context, tx *sql.Tx, batch []*recordRequest) (map[string]bool, error) {
	const columns = 17
	args := make([]any, 0, len(batch)*columns)
	for _, req := range batch {
		args = append(args, req.upload.values()...)
	}
	rows, err := tx.QueryContext(ctx, s.dialect.rebind(`INSERT INTO uploads (`+uploadColumns+`) VALUES `+valueRows(len(batch), columns)+` ON CONFLICT DO NOTHING RETURNING id`), args...)
	if err != nil {
		return nil, fmt.Errorf("insert uploads: %w", err)
	}
	defer rows.Close()
	created := make(map[string]bool, len(batch))
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("insert uploads: %w", err)
		}
		created[id] = true
	}
	return created, rows.Err()
}

// existing returns the upload that an insert ran into.
func (s *Store) existing(ctx context.Context, tx *sql.Tx, id string) (Upload, error) {
	var deleted int64
	row := tx.QueryRowContext(ctx, s.dialect.rebind(`SELECT `+uploadColumns+`, deleted_at FROM uploads WHERE id = ?`), id)
	u, err := scanUpload(func(dest ...any) error { return row.Scan(append(dest, &deleted)...) })
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Upload{}, ErrConflict // the insert ran into the key of another upload
	case err != nil:
		return Upload{}, fmt.Errorf("read upload: %w", err)
	case deleted != 0:
		return u, ErrDeleted
	}
	return u, nil
}

func (s *Store) insertEvents(ctx context.Context, tx *sql.Tx, events []*Event) error {
	if len(events) == 0 {
		return nil
	}
	const columns = 6
	now := s.clock().UnixMilli()
	args := make([]any, 0, len(events)*columns)
	for _, e := range events {
		args = append(args, e.ID, e.UploadID, e.Type, string(e.Payload), now, now)
	}
	_, err := tx.ExecContext(ctx, s.dialect.rebind(`INSERT INTO outbox (event_id, upload_id, type, payload, created_at, next_at) VALUES `+valueRows(len(events), columns)+` ON CONFLICT DO NOTHING`), args...)
	if err != nil {
		return fmt.Errorf("insert events: %w", err)
	}
	return nil
}

// valueRows returns rows of placeholders: (?,?),(?,?).
func valueRows(rows, columns int) string {
	row := "(?" + strings.Repeat(",?", columns-1) + ")"
	return row + strings.Repeat(","+row, rows-1)
}
