package signer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/config"
)

// settings are what judges a request. They are replaced as a whole and never changed.
type settings struct {
	*config.Config
	granter *granter
}

// use makes the next request be judged by live. What is wrong with it leaves everything as it is.
func (s *Server) use(live *config.Live) error {
	next := &config.Config{Fixed: *s.cfg, Live: *live}
	if err := next.Validate(); err != nil {
		return fmt.Errorf("signer config: %w", err)
	}
	granter, err := newGranter(next, s.tickets, s.credentials, s.clock)
	if err != nil {
		return err
	}
	s.live.Store(&settings{next, granter})
	if s.usage != nil {
		s.usage.bound(live.Limits)
	}
	return nil
}

// configPause is how often the config file is read. The kubelet takes up to a minute and a half to bring a
// changed ConfigMap, so that two seconds more do not matter.
const configPause = 2 * time.Second

// follow uses what changes in the config file until ctx ends. A file that cannot be used is told once and
// counted, and the settings before it stay.
func (s *Server) follow(ctx context.Context) {
	tick := time.NewTicker(configPause)
	defer tick.Stop()
	var seen []byte
	unreadable := false
	for {
		raw, err := os.ReadFile(s.configFile)
		switch {
		case err == nil && (seen == nil || !bytes.Equal(raw, seen)):
			seen = raw
			if err := s.reload(raw); err != nil {
				s.reloadFailed(err)
			}
		case err != nil && !unreadable:
			s.reloadFailed(err)
		}
		unreadable = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// reload uses the text of a config.
func (s *Server) reload(raw []byte) error {
	read, err := config.Parse(raw)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(read.Live, s.live.Load().Live) {
		if err := s.use(&read.Live); err != nil {
			return err
		}
		s.log.Info("a changed configuration is in use", "hash", configHash(raw))
	}
	if !reflect.DeepEqual(read.Fixed, *s.cfg) {
		s.log.Info("the configuration also changed in a way that needs a new process, which the controller starts")
	}
	s.metrics.ConfigInUse(configHash(raw))
	return nil
}

func (s *Server) reloadFailed(err error) {
	s.metrics.ConfigReloadFailures.Inc()
	s.log.Error("a changed configuration cannot be used; the one before stays in use", "file", s.configFile, "error", err)
}

// configHash names a text of the file: the beginning of its SHA-256, as sha256sum prints it.
func configHash(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}
