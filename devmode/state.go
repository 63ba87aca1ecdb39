package devmode

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/uploadtenant/uploadtenant/controllers/signerobjects"
)

// state is the folder that survives a restart: "cloud" belongs to the emulator, "index" to the signer's
// database, which may be deleted while nothing runs, and "keys" to everything that must not be lost.
type state struct {
	dir    string
	random io.Reader
	// temporary folders are removed by close: configuration names secrets by file, so there is always a folder.
	temporary bool
}

// openState makes the folders below dir, or a temporary one when dir is empty.
func openState(dir string) (*state, error) {
	s := &state{dir: dir, random: rand.Reader}
	if dir == "" {
		tmp, err := os.MkdirTemp("", "uploadtenant-dev-")
		if err != nil {
			return nil, fmt.Errorf("make a temporary folder: %w", err)
		}
		s.dir, s.temporary = tmp, true
	}
	for _, sub := range []string{s.keys(), s.cloud(), s.index()} {
		if err := os.MkdirAll(sub, 0o700); err != nil {
			s.close()
			return nil, fmt.Errorf("make the data folder: %w", err)
		}
	}
	return s, nil
}

func (s *state) keys() string  { return filepath.Join(s.dir, "keys") }
func (s *state) cloud() string { return filepath.Join(s.dir, "cloud") }
func (s *state) index() string { return filepath.Join(s.dir, "index") }

// emulatorDir is where the emulator keeps its data, empty when everything stays in memory.
func (s *state) emulatorDir() string {
	if s.temporary {
		return ""
	}
	return s.cloud()
}

// database is the path of the signer's index.
func (s *state) database() string {
	if s.temporary {
		return ":memory:"
	}
	return filepath.Join(s.index(), "index.db")
}

// close removes what was temporary.
func (s *state) close() {
	if s.temporary {
		_ = os.RemoveAll(s.dir)
	}
}

// keep returns the content of a file below keys, made by create the first time.
func (s *state) keep(name string, create func() ([]byte, error)) (file string, content []byte, err error) {
	file = filepath.Join(s.keys(), name)
	content, err = os.ReadFile(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return file, content, err
	}
	if content, err = create(); err != nil {
		return "", nil, err
	}
	return file, content, s.write(name, content)
}

// write replaces a file below keys so that a crash leaves the old or the new one.
func (s *state) write(name string, content []byte) error {
	target := filepath.Join(s.keys(), name)
	tmp, err := os.CreateTemp(s.keys(), "."+name+"-") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), target)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// ticketKeys returns the file with the keys that seal tickets. Objects whose key is lost cannot be recorded.
func (s *state) ticketKeys() (string, error) {
	file, _, err := s.keep("tickets.json", func() ([]byte, error) {
		keys, err := signerobjects.NewTicketKeys(s.random)
		if err != nil {
			return nil, err
		}
		return json.Marshal(keys)
	})
	return file, err
}

// eventsSecret returns the file of a generated Standard Webhooks secret.
func (s *state) eventsSecret() (string, error) {
	file, _, err := s.keep("events-secret", func() ([]byte, error) {
		raw := make([]byte, 32)
		_, err := io.ReadFull(s.random, raw)
		return []byte("whsec_" + base64.StdEncoding.EncodeToString(raw)), err
	})
	return file, err
}

// accessKey is the emulator's administrator.
type accessKey struct {
	ID     string `json:"accessKeyId"`
	Secret string `json:"accessKeySecret"`
}

// adminKey returns the administrator's key and the file that holds it.
func (s *state) adminKey() (key accessKey, file string, err error) {
	file, raw, err := s.keep("admin.json", func() ([]byte, error) {
		raw := make([]byte, 24)
		_, err := io.ReadFull(s.random, raw)
		if err != nil {
			return nil, err
		}
		return json.Marshal(accessKey{ID: "LTAIuploadtenantdev", Secret: base64.RawURLEncoding.EncodeToString(raw)})
	})
	if err != nil {
		return accessKey{}, "", err
	}
	if err := json.Unmarshal(raw, &key); err != nil || key.ID == "" || key.Secret == "" {
		return accessKey{}, "", fmt.Errorf("%s must be {\"accessKeyId\":…,\"accessKeySecret\":…}: remove it to get a new one", file)
	}
	return key, file, nil
}
