package disk

import "runtime"

// InBackground runs work on a thread of its own to which the system prefers all
// others, for the processor and, where it has a notion of that, for the disk. It
// returns when work has; goroutines that work starts are as any other.
func InBackground(work func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Never unlocked: the thread ends with the goroutine, so that nobody
		// else inherits its place in the queue.
		runtime.LockOSThread()
		stepBack()
		work()
	}()
	<-done
}
