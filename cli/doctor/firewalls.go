package doctor

import (
	"context"
	"fmt"
	"strings"
)

// Tools is how firewalls are looked for: files to read, and commands that only tell.
type Tools struct {
	System string // runtime.GOOS
	Read   func(path string) string
	Run    func(ctx context.Context, name string, args ...string) (out string, err error)
}

// Firewalls looks for those that are switched on, with what lets the ports through.
func Firewalls(ctx context.Context, t Tools, p Ports) []Firewall {
	switch t.System {
	case "linux":
		return linux(ctx, t, p)
	case "darwin":
		out, _ := t.Run(ctx, "/usr/libexec/ApplicationFirewall/socketfilterfw", "--getglobalstate")
		if strings.Contains(out, "enabled") || strings.Contains(out, "State = 1") {
			return []Firewall{{"the application firewall of macOS", []string{"System Settings, Network, Firewall, Options: let hffs receive connections"}, true}}
		}
	case "windows":
		return []Firewall{{"the firewall of Windows", []string{
			fmt.Sprintf(`netsh advfirewall firewall add rule name=hffs dir=in action=allow protocol=TCP localport=%d-%d`, p.Gossip, p.Door),
			fmt.Sprintf(`netsh advfirewall firewall add rule name=hffs dir=in action=allow protocol=UDP localport=5353,%d`, p.Gossip),
		}, false}}
	}
	return nil
}

// linux: the two that people switch on come first; what they do shows as rules as well.
func linux(ctx context.Context, t Tools, p Ports) (all []Firewall) {
	if enabled(t.Read("/etc/ufw/ufw.conf")) {
		all = append(all, Firewall{"ufw", []string{
			fmt.Sprintf("sudo ufw allow %d:%d/tcp", p.Gossip, p.Door),
			fmt.Sprintf("sudo ufw allow %d/udp", p.Gossip),
			"sudo ufw allow 5353/udp",
		}, true})
	}
	if out, err := t.Run(ctx, "firewall-cmd", "--state"); err == nil && strings.TrimSpace(out) == "running" {
		all = append(all, Firewall{"firewalld", []string{
			fmt.Sprintf("sudo firewall-cmd --permanent --add-port=%d-%d/tcp --add-port=%d/udp --add-service=mdns", p.Gossip, p.Door, p.Gossip),
			"sudo firewall-cmd --reload",
		}, true})
	}
	if len(all) > 0 {
		return all
	}
	byHand := []string{"let them in by a rule of the input chain"}
	if out, err := t.Run(ctx, "nft", "list", "ruleset"); err == nil && blocks(out) {
		return []Firewall{{"nftables", byHand, true}}
	}
	if out, err := t.Run(ctx, "iptables", "-S", "INPUT"); err == nil && blocks(out) {
		return []Firewall{{"iptables", byHand, true}}
	}
	return nil
}

func enabled(conf string) bool {
	for line := range strings.Lines(conf) {
		if strings.EqualFold(strings.TrimSpace(line), "ENABLED=yes") {
			return true
		}
	}
	return false
}

// blocks tells whether rules keep something out of this machine.
func blocks(rules string) bool {
	rules = strings.ToLower(rules)
	incoming := strings.Contains(rules, "input")
	return incoming && (strings.Contains(rules, "drop") || strings.Contains(rules, "reject"))
}
