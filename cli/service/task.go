package service

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

// TaskName is the name of the task for Windows.
const TaskName = "hffs"

// Task is a scheduled task for Windows in the XML of its Task Scheduler: it runs
// while user is logged in, without a window (conhost --headless), and is looked after
// every five minutes. Tasks have no environment of their own: they see what is set
// for the account, and s.Env has no effect.
func Task(s Spec, user string) string {
	line := []string{"--headless", windowsWord(s.Program)}
	for _, a := range s.Args {
		line = append(line, windowsWord(a))
	}
	return `<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>` + escaped(Description) + `</Description>
  </RegistrationInfo>
  <Triggers>
    <LogonTrigger>
      <Repetition>
        <Interval>PT5M</Interval>
        <StopAtDurationEnd>false</StopAtDurationEnd>
      </Repetition>
      <UserId>` + escaped(user) + `</UserId>
    </LogonTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>` + escaped(user) + `</UserId>
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>%SystemRoot%\System32\conhost.exe</Command>
      <Arguments>` + escaped(strings.Join(line, " ")) + `</Arguments>
    </Exec>
  </Actions>
</Task>
`
}

// windowsWord quotes a word as the usual rules of Windows programs want it
// (CommandLineToArgvW): backslashes count twice before a quotation mark.
func windowsWord(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\n\v\"") {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	slashes := 0
	for i := range len(s) {
		switch s[i] {
		case '\\':
			slashes++
		case '"':
			b.WriteString(strings.Repeat(`\`, slashes+1)) // they double, and one for the mark
			slashes = 0
		default:
			slashes = 0
		}
		b.WriteByte(s[i])
	}
	b.WriteString(strings.Repeat(`\`, slashes))
	b.WriteByte('"')
	return b.String()
}

// UTF16 is text as schtasks reads it: little endian, with a mark.
func UTF16(text string) []byte {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(strings.ReplaceAll(text, "\n", "\r\n"))) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}
