package main

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/signer/ticket"
	"github.com/uploadtenant/uploadtenant/test/perf/figures"
)

const (
	// grantRate is how many grants per second are asked for while their latency is measured: far below
	// what the signer can do, so that the figure is not that of a queue.
	grantRate = 500
	// ossDelay and receiverDelay are what the bucket and the receiver of events take to answer.
	ossDelay, receiverDelay = 10 * time.Millisecond, 5 * time.Millisecond
)

// busy compares the p99 of grants of an idle signer with that of one whose index was lost: its sweeper
// goes through the bucket at full speed, every object is recorded, and every record delivers an event.
func (b *bench) busy() error {
	idle, _, err := b.start()
	if err != nil {
		return err
	}
	defer idle.stop()
	work, err := b.startBusy()
	if err != nil {
		return err
	}
	defer work.signer.stop()
	var before, idles, ratios, rates []float64
	for range b.rounds {
		quiet, err := b.grantP99(idle.addr)
		if err != nil {
			return err
		}
		swept, delivered, begin := work.bucket.heads.Load(), work.delivered.Load(), time.Now()
		loaded, err := b.grantP99(work.signer.addr)
		if err != nil {
			return err
		}
		length := time.Since(begin).Seconds()
		if work.bucket.heads.Load() == swept || work.delivered.Load() == delivered {
			return errors.New("the sweeper or the delivery of events was not busy")
		}
		before, idles, ratios = append(before, loaded), append(idles, quiet), append(ratios, loaded/quiet)
		rates = append(rates, float64(work.delivered.Load()-delivered)/length)
	}
	b.report.Add(figures.Figure{Name: "signer_grants_p99_busy", Value: figures.Median(before), Unit: "ms", Floor: figures.Median(idles), Ratio: figures.Median(ratios)})
	b.report.Add(figures.Figure{Name: "signer_recovered_while_busy", Value: figures.Median(rates), Unit: "uploads/s"})
	return nil
}

// busyWork is a signer with much to do.
type busyWork struct {
	signer    *process
	bucket    bucket
	delivered atomic.Int64
}

// startBusy starts a signer with an empty index on a bucket full of uploads.
func (b *bench) startBusy() (*busyWork, error) {
	tickets, err := ticket.LoadKeyring(b.world.cfg.TicketKeysFile, b.world.cfg.Tenant)
	if err != nil {
		return nil, err
	}
	work := &busyWork{bucket: bucket{delay: ossDelay, lost: tickets}}
	full := httptest.NewServer(&work.bucket)
	b.stops = append(b.stops, full.Close)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(receiverDelay)
		work.delivered.Add(1)
	}))
	b.stops = append(b.stops, receiver.Close)
	secret := filepath.Join(b.dir, "events")
	if err := os.WriteFile(secret, []byte("whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600); err != nil {
		return nil, err
	}
	before := b.world.cfg
	b.world.cfg.Bucket.Endpoint = full.URL
	b.world.cfg.Events = &config.Events{URL: receiver.URL, SecretFile: secret}
	if err := b.world.use(config.Index{SQLitePath: filepath.Join(b.dir, "lost", "index.db")}); err != nil {
		return nil, err
	}
	if work.signer, _, err = b.start(); err != nil {
		return nil, err
	}
	b.world.cfg = before
	return work, b.world.use(before.Index)
}

// grantP99 asks for grants of one file at an even rate and returns the 99th percentile of their latency in
// milliseconds. A late answer does not put off the requests that follow on other connections.
func (b *bench) grantP99(addr string) (float64, error) {
	request := b.world.grantRequest(addr, 1)
	if _, err := probe(addr, request); err != nil {
		return 0, err
	}
	took := make([][]float64, connections)
	begin, every := time.Now(), connections*time.Second/grantRate
	err := each(connections, func(i int) error {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer conn.Close()
		r := bufio.NewReaderSize(conn, 32<<10)
		for due := begin.Add(every * time.Duration(i) / connections); time.Since(begin) < b.length; due = due.Add(every) {
			time.Sleep(time.Until(due))
			if _, err := conn.Write(request); err != nil {
				return err
			}
			if err := readAnswer(r); err != nil {
				return err
			}
			took[i] = append(took[i], float64(time.Since(due).Microseconds())/1000)
		}
		return nil
	})
	all := slices.Concat(took...)
	slices.Sort(all)
	if err != nil || len(all) == 0 {
		return 0, errors.Join(err, errors.New("no grant was measured"))
	}
	return all[len(all)*99/100], nil
}
