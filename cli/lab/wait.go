package lab

import "time"

// Eventually waits until a condition holds and fails the test when it has not
// come true by the deadline. It asks every 50 ms: what other programs know
// sends us no event.
func Eventually(t T, deadline time.Duration, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); ; time.Sleep(50 * time.Millisecond) {
		if holds() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %v still not: %s", deadline, what)
		}
	}
}
