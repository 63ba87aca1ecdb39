// Package pgtest runs a real PostgreSQL for tests and benchmarks: a server of its own with a private data
// folder and Unix socket, as a user that is not root; Listen adds TCP with TLS and a password. It needs the
// server programs of PostgreSQL 15 or later, on Debian the package postgresql-15.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// startTime bounds how long a server may take to answer; after a crash it first recovers.
const startTime = 60 * time.Second

// Server is one PostgreSQL. Its methods are not for concurrent use.
type Server struct {
	dir  string
	bin  string
	as   *syscall.Credential // nil: as this process
	cmd  *exec.Cmd
	log  *bytes.Buffer
	done chan struct{}
	seq  atomic.Int64

	address, port string // "" as long as only the socket is served
}

// Start runs a server until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// New makes a data folder and starts a server on it. Close removes both.
func New() (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgtest-") // short: a socket's path has at most 107 bytes
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, bin: bin}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.Restart(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// programs finds the newest server programs.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	found = slices.DeleteFunc(found, func(path string) bool { return version(path) < 15 })
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errors.New("PostgreSQL is not installed: apt-get install postgresql-15 (the server need not run)")
}

// prepare makes the data folder. PostgreSQL refuses to run as root, so root hands it to user postgres.
func (s *Server) prepare() error {
	if os.Geteuid() == 0 {
		account, err := user.Lookup("postgres")
		if err != nil {
			return fmt.Errorf("find a user for PostgreSQL, which does not run as root: %w", err)
		}
		uid, err := strconv.Atoi(account.Uid)
		if err != nil {
			return err
		}
		gid, err := strconv.Atoi(account.Gid)
		if err != nil {
			return err
		}
		s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(s.dir, uid, gid); err != nil {
			return err
		}
	}
	// A collation unlike the byte order shows where a query relies on one. No --no-sync here matters to
	// a test: the folder is gone with the machine.
	cmd := exec.Command(filepath.Join(s.bin, "initdb"), "--pgdata", s.data(), "--username", "postgres", "--auth", "trust",
		"--no-sync", "--encoding", "UTF8", "--locale", "C.UTF-8", "--locale-provider", "icu", "--icu-locale", "en-US")
	cmd.Dir, cmd.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.as}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Restart starts a server that was stopped or killed, and waits until it answers.
func (s *Server) Restart() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	for {
		s.run()
		err := s.awaitAnswer(ctx)
		// A postmaster that was killed leaves children for a moment, and nobody may start beside them.
		if err == nil || ctx.Err() != nil || !bytes.Contains(s.log.Bytes(), []byte("shared memory block")) {
			return err
		}
	}
}

func (s *Server) run() {
	// Small, and otherwise as it comes: fsync, full_page_writes and synchronous_commit stay on.
	s.cmd = exec.Command(filepath.Join(s.bin, "postgres"), append(s.networkArguments(), "-D", s.data(), "-k", s.dir,
		"-c", "shared_buffers=16MB", "-c", "max_connections=60", "-c", "wal_level=minimal", "-c", "max_wal_senders=0", "-c", "logging_collector=off")...)
	s.log, s.done = &bytes.Buffer{}, make(chan struct{})
	// A test that is killed takes its server with it.
	s.cmd.Dir, s.cmd.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.as, Pdeathsig: syscall.SIGQUIT}
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
}

// awaitAnswer starts the prepared command and polls until a connection works.
func (s *Server) awaitAnswer(ctx context.Context) error {
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	cmd, done := s.cmd, s.done
	go func() { cmd.Wait(); close(done) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.DSN("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.done:
			return fmt.Errorf("PostgreSQL ended: %s", s.log)
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// Database makes an empty database and returns its DSN.
func (s *Server) Database(ctx context.Context) (string, error) {
	name := "test" + strconv.FormatInt(s.seq.Add(1), 10)
	if err := s.Exec(ctx, "postgres", "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	return s.DSN(name), nil
}

// Exec runs one statement as the superuser.
func (s *Server) Exec(ctx context.Context, database, statement string) error {
	conn, err := pgx.Connect(ctx, s.DSN(database))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// Kill ends the server and its children like a power cut of the process: SIGKILL.
func (s *Server) Kill() error {
	children := children(s.cmd.Process.Pid)
	if err := s.cmd.Process.Kill(); err != nil {
		return err
	}
	for _, pid := range children {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	<-s.done
	return nil
}

// children lists the processes that pid started.
func children(pid int) []int {
	var list []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		// "<pid> (<name>) <state> <parent> …"; the name may hold anything.
		fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
		parent, _ := strconv.Atoi(string(fields[1]))
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if parent == pid {
			list = append(list, child)
		}
	}
	return list
}

// Stop shuts the server down in order; open sessions end.
func (s *Server) Stop() error {
	select {
	case <-s.done:
		return nil
	default:
	}
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.done:
		return nil
	case <-time.After(startTime):
		return errors.Join(errors.New("PostgreSQL did not stop"), s.Kill())
	}
}

// Close stops the server and removes its folder.
func (s *Server) Close() error { return errors.Join(s.Stop(), os.RemoveAll(s.dir)) }
