package environ

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"unicode/utf16"
)

// Shells are those that [Shell] writes for.
var Shells = []string{"bash", "zsh", "fish", "powershell", "sh", "json"}

// Known is which of [Shells] a program is, by its name or path; false for none.
func Known(program string) (shell string, ok bool) {
	name := strings.ToLower(path.Base(strings.ReplaceAll(strings.TrimSpace(program), `\`, "/")))
	switch strings.TrimPrefix(strings.TrimSuffix(name, ".exe"), "-") { // "-bash" is a login shell
	case "bash":
		return "bash", true
	case "zsh":
		return "zsh", true
	case "fish":
		return "fish", true
	case "pwsh", "powershell", "pwsh-preview":
		return "powershell", true
	case "sh", "dash", "ash", "ksh", "ksh93", "mksh", "busybox", "yash":
		return "sh", true
	case "json":
		return "json", true
	}
	return "", false
}

// Shell writes variables as code that a shell evaluates, one statement a line; or as
// JSON, where null means not set.
func Shell(shell string, vars []Var) (string, error) {
	set, unset := "export %s=%s\n", "unset %s\n"
	quote := quotePOSIX
	switch shell {
	case "json":
		return asJSON(vars)
	case "sh", "bash", "zsh":
	case "fish":
		set, unset, quote = "set -gx %s %s\n", "set -e %s\n", quoteFish
	case "powershell":
		set, unset, quote = "$env:%s = %s\n", "Remove-Item -ErrorAction SilentlyContinue Env:%s\n", quotePowerShell
	default:
		return "", fmt.Errorf("no code can be written for the shell %q", shell)
	}
	var b strings.Builder
	for _, v := range vars {
		if v.Gone {
			fmt.Fprintf(&b, unset, v.Name)
		} else {
			fmt.Fprintf(&b, set, v.Name, quote(v.Value))
		}
	}
	return b.String(), nil
}

func asJSON(vars []Var) (string, error) {
	all := map[string]*string{}
	for _, v := range vars {
		all[v.Name] = nil
		if !v.Gone {
			all[v.Name] = &v.Value
		}
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(all); err != nil {
		return "", err
	}
	return b.String(), nil
}

// quotePOSIX quotes for sh and its kin, where nothing is special between single
// quotes but the quote itself.
func quotePOSIX(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// quoteFish quotes for fish, where a backslash is special there as well.
func quoteFish(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// quotePowerShell writes what is not plain ASCII by number: PowerShell takes a
// program's output line by line, in the code page of the console, and curly quotes
// for straight ones.
func quotePowerShell(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, unit := range utf16.Encode([]rune(s)) {
		switch {
		case unit == '\'':
			b.WriteString("''")
		case unit < 0x20 || unit >= 0x7f:
			fmt.Fprintf(&b, "'+[char]0x%x+'", unit)
		default:
			b.WriteByte(byte(unit))
		}
	}
	b.WriteByte('\'')
	return b.String()
}
