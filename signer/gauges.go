package signer

import (
	"context"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/index"
)

// registerGauges registers what is read when metrics are scraped; -1 says that the index does not answer.
func (s *Server) registerGauges() {
	s.metrics.Gauge("credential_expires_in_seconds", "Time until the STS credential expires; 0 without one.", func() float64 {
		cred, err := s.credentials.Credential()
		if err != nil {
			return 0
		}
		return cred.Expires.Sub(s.clock()).Seconds()
	})
	s.metrics.Gauge("index_available", "1 when the index answers, else 0: callbacks are refused meanwhile, and the sweeper records what they told.", func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if s.store.Ping(ctx) != nil {
			return 0
		}
		return 1
	})
	s.registerIndexStats()
	backlog := func(read func(index.Backlog) float64) func() float64 {
		return func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			b, err := s.store.Backlog(ctx)
			if err != nil {
				return -1
			}
			return read(b)
		}
	}
	s.metrics.Gauge("events_pending", "Events that wait for delivery.", backlog(func(b index.Backlog) float64 { return float64(b.Pending) }))
	s.metrics.Gauge("events_dead", "Events that were given up.", backlog(func(b index.Backlog) float64 { return float64(b.Dead) }))
	s.metrics.Gauge("events_oldest_age_seconds", "Age of the oldest event that waits for delivery.", backlog(func(b index.Backlog) float64 {
		if b.Oldest.IsZero() {
			return 0
		}
		return s.clock().Sub(b.Oldest).Seconds()
	}))
	unverified := func(read func(n int64, oldest time.Time) float64) func() float64 {
		return func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			n, oldest, err := s.store.Unverified(ctx)
			if err != nil {
				return -1
			}
			return read(n, oldest)
		}
	}
	s.metrics.Gauge("verifications_pending", "Recorded uploads that wait for verification.", unverified(func(n int64, _ time.Time) float64 { return float64(n) }))
	s.metrics.Gauge("verifications_oldest_age_seconds", "How long the oldest of them waits.", unverified(func(_ int64, oldest time.Time) float64 {
		if oldest.IsZero() {
			return 0
		}
		return s.clock().Sub(oldest).Seconds()
	}))
}

// registerIndexStats tells how busy the database is. Records per commit and time per commit are quotients of
// two of these counters.
func (s *Server) registerIndexStats() {
	stat := func(read func(index.Stats) float64) func() float64 {
		return func() float64 { return read(s.store.Stats()) }
	}
	s.metrics.Gauge("index_connections", "Open connections to the database.", stat(func(i index.Stats) float64 { return float64(i.Connections) }))
	s.metrics.Gauge("index_connections_in_use", "Connections that a query or transaction holds.", stat(func(i index.Stats) float64 { return float64(i.InUse) }))
	s.metrics.Counter("index_connection_waits_total", "Queries that had to wait for a connection.", stat(func(i index.Stats) float64 { return float64(i.Waits) }))
	s.metrics.Counter("index_connection_wait_seconds_total", "Time that queries waited for a connection.", stat(func(i index.Stats) float64 { return i.WaitTime.Seconds() }))
	s.metrics.Counter("index_commits_total", "Transactions that recorded uploads.", stat(func(i index.Stats) float64 { return float64(i.Commits) }))
	s.metrics.Counter("index_commit_records_total", "Records in those transactions, known ones too.", stat(func(i index.Stats) float64 { return float64(i.Committed) }))
	s.metrics.Counter("index_commit_seconds_total", "Time that those transactions took.", stat(func(i index.Stats) float64 { return i.CommitTime.Seconds() }))
}
