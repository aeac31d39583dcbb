package control

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// fileName is the file in a node's state folder by which commands find it.
const fileName = "control.json"

// Place is how to reach a running node.
type Place struct {
	Addr    string `json:"addr"` // host:port on loopback
	Key     string `json:"key"`
	PID     int    `json:"pid"`
	Cache   string `json:"cache"` // the Hugging Face cache it works on
	Host    string `json:"host"`  // the machine it runs on
	Env     Env    `json:"env"`
	Version string `json:"version"`
	// Began is when the node was started, Log the file that it writes to, if any.
	Began time.Time `json:"began"`
	Log   string    `json:"log,omitempty"`
	// Brief nodes end with the command that started them, so others do not rely on
	// them.
	Brief bool `json:"brief,omitempty"`
}

// Env is what of the environment a node's work depends on. A command that was
// given another one does not leave its work to the node.
type Env struct {
	Endpoints []string `json:"endpoints"`
	Offline   bool     `json:"offline"`
	NoXet     bool     `json:"no_xet,omitempty"`
	Token     string   `json:"token"` // a mark of it, empty for none
}

// Mark stands for a token without giving it away.
func Mark(token string) string {
	if token == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("hffs token mark\n" + token))
	return hex.EncodeToString(sum[:8])
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
