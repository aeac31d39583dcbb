package control

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// fileName is the file in a node's state folder by which commands find it.
const fileName = "control.json"

// Place is how to reach a running node.
type Place struct {
	Addr    string `json:"addr"` // host:port on loopback
	Key     string `json:"key"`
	PID     int    `json:"pid"`
	Cache   string `json:"cache"` // the Hugging Face cache it works on
	Version string `json:"version"`
}

// NewKey is a fresh secret.
func NewKey() string { return rand.Text() }

// Write puts the place into a state folder, readable by its owner only.
func (p Place) Write(state string) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	tmp := filepath.Join(state, fileName+".tmp")
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return fmt.Errorf("write control file: %w", err)
	}
	return os.Rename(tmp, filepath.Join(state, fileName))
}

// Remove takes the place out of a state folder when the node ends.
func Remove(state string) { _ = os.Remove(filepath.Join(state, fileName)) }

// Read finds the place in a state folder.
func Read(state string) (p Place, err error) {
	b, err := os.ReadFile(filepath.Join(state, fileName))
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return p, fmt.Errorf("read control file: %w", err)
	}
	return p, nil
}
