// Package progress prints what a long command is doing: one line when a step
// starts to take noticeable time, one when it ends, each with the time it took.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// interval is how often a running step repeats its state. Ten seconds keeps a
// CI log of an eight-minute build under fifty lines and still shows life.
const interval = 10 * time.Second

// Printer writes step lines to one writer. It is safe for concurrent use.
type Printer struct {
	mu    sync.Mutex
	out   io.Writer
	now   func() time.Time
	begin time.Time
	live  bool // rewrite one line instead of printing a new one
}

// New returns a Printer that writes to out; on a terminal a running step
// rewrites its line instead of adding one.
func New(out io.Writer) *Printer {
	p := &Printer{out: out, now: time.Now}
	p.begin = p.now()
	if f, ok := out.(*os.File); ok {
		if info, err := f.Stat(); err == nil {
			p.live = info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != ""
		}
	}
	return p
}

// Say prints one line with the time since the Printer was made.
func (p *Printer) Say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line(p.now().Sub(p.begin), fmt.Sprintf(format, args...), true)
}

func (p *Printer) line(elapsed time.Duration, text string, final bool) {
	prefix, suffix := "", "\n"
	if p.live {
		prefix = "\r\033[K"
		if !final {
			suffix = ""
		}
	}
	fmt.Fprintf(p.out, "%s%7s  %s%s", prefix, round(elapsed), text, suffix)
}

// round shortens a duration to what a person reads: tenths below ten seconds.
func round(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// Step is something that takes time.
type Step struct {
	p     *Printer
	name  string
	start time.Time
	stop  chan struct{}
	done  sync.WaitGroup

	mu     sync.Mutex
	detail string
}

// Start begins a step. Nothing is printed until it lasts longer than the
// repeat interval or ends.
func (p *Printer) Start(format string, args ...any) *Step {
	s := &Step{p: p, name: fmt.Sprintf(format, args...), start: p.now(), stop: make(chan struct{})}
	every := interval
	if p.live {
		every = time.Second
	}
	s.done.Go(func() {
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-s.stop:
				return
			case <-t.C:
				s.print("…", false)
			}
		}
	})
	return s
}

// Detail replaces the text shown beside the running step, for example a count.
func (s *Step) Detail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.detail = fmt.Sprintf(format, args...)
}

// End finishes the step with what came of it and the time it took.
func (s *Step) End(err error) {
	close(s.stop)
	s.done.Wait()
	mark := "done"
	if err != nil {
		mark = "FAILED"
	}
	s.print(mark, true)
}

func (s *Step) print(mark string, final bool) {
	s.mu.Lock()
	text := s.name
	if s.detail != "" {
		text += " (" + s.detail + ")"
	}
	s.mu.Unlock()
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	now := s.p.now()
	text += " " + mark
	if final {
		text += " in " + round(now.Sub(s.start))
	}
	s.p.line(now.Sub(s.p.begin), text, final)
}
