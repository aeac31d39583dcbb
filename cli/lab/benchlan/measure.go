package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"hffs/cli/lab"
)

// sample is what one fetch has cost. Memory is in bytes: the peak of all that
// was resident, and of what was the process's own (anonymous).
type sample struct {
	wall, cpu       time.Duration
	fetcher, holder memory
}

type memory struct{ peak, anon int64 }

func (m *memory) atLeast(o memory) {
	m.peak, m.anon = max(m.peak, o.peak), max(m.anon, o.anon)
}

// measure runs a fetch and looks at the memory of all concerned meanwhile.
func measure(start func() *lab.Process, fetcher func() int, holders []int) (s sample) {
	for _, pid := range holders {
		forgetPeak(pid)
	}
	began, busy := time.Now(), machineCPU()
	p := start()
	if fetcher == nil {
		fetcher = p.Pid
	}
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for !p.Ended() {
		select {
		case <-p.Done():
		case <-look.C:
			s.look(fetcher(), holders)
		}
	}
	s.wall, s.cpu = time.Since(began), machineCPU()-busy
	s.look(fetcher(), holders)
	return s
}

func (s *sample) look(fetcher int, holders []int) {
	for _, pid := range append(children(fetcher), fetcher) {
		s.fetcher.atLeast(memoryOf(pid))
	}
	for _, pid := range holders {
		s.holder.atLeast(memoryOf(pid))
	}
}

// children are the processes that a process has started: a shell's memory says
// nothing of its command's.
func children(pid int) (pids []int) {
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	for word := range strings.FieldsSeq(string(list)) {
		if n, err := strconv.Atoi(word); err == nil {
			pids = append(pids, n)
		}
	}
	return pids
}

// memoryOf reads what the kernel says of a process; zero when it has ended.
func memoryOf(pid int) (m memory) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m
	}
	for line := range strings.Lines(string(status)) {
		name, rest, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		switch name {
		case "VmHWM":
			m.peak = kib << 10
		case "RssAnon":
			m.anon = kib << 10
		}
	}
	return m
}

// forgetPeak makes the kernel count a process's peak anew.
func forgetPeak(pid int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) // without it the peak is of all rounds
}

// machineCPU is the time that all processors together have been busy.
func machineCPU() time.Duration {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	var ticks int64
	for i, field := range strings.Fields(line)[1:] {
		switch i {
		case 0, 1, 2, 5, 6: // user, nice, system, irq, softirq
			n, _ := strconv.ParseInt(field, 10, 64)
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100
}

// sync waits until what was written is on the disk.
func sync() { _ = exec.Command("sync").Run() }
