package service

import (
	"fmt"
	"strings"
)

// UnitName is the name of the unit for systemd.
const UnitName = "hffs.service"

// Unit is a user unit for systemd, systemd.service(5). It is kept from what a node
// never does by filters of system calls alone: what works with namespaces of the file
// system would hide caches that lie somewhere unusual, and is not to be had by user
// units everywhere.
func Unit(s Spec) string {
	var b strings.Builder
	fmt.Fprintf(&b, `[Unit]
Description=%s

[Service]
ExecStart=%s
`, Description, execLine(s))
	for _, v := range s.Env {
		fmt.Fprintf(&b, "Environment=%s\n", quoted(v.Name+"="+v.Value, false))
	}
	b.WriteString(`Restart=on-failure
RestartSec=5s
TimeoutStopSec=30s
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictRealtime=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=default.target
`)
	return b.String()
}

// execLine is a command line. In its first word systemd replaces no variables, and
// there it takes no quotation marks or backslashes, but as another program's argument.
func execLine(s Spec) string {
	words, args := []string{quoted(s.Program, false)}, s.Args
	if strings.ContainsAny(s.Program, "\"'\\") {
		words, args = []string{"/usr/bin/env"}, append([]string{s.Program}, args...)
	}
	for _, a := range args {
		words = append(words, quoted(a, true))
	}
	return strings.Join(words, " ")
}

// quoted is a word as systemd.syntax(7) has it: what would be an escape, a specifier
// or a variable stands for itself.
func quoted(word string, variables bool) string {
	var b strings.Builder
	for _, r := range []byte(word) {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteByte(r)
		case r == '%', r == '$' && variables:
			b.WriteByte(r)
			b.WriteByte(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteByte(r)
		}
	}
	if text := b.String(); word == "" || text != word || strings.ContainsAny(word, " '#;") {
		return `"` + text + `"`
	}
	return word
}
