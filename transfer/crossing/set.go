package crossing

// set is a set of cells.
type set []uint64

func newSet(n int) set { return make(set, (n+63)/64) }

func (s set) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

// add and remove report whether that changed anything.
func (s set) add(i int) bool {
	was := s.has(i)
	s[i/64] |= 1 << (i % 64)
	return !was
}

func (s set) remove(i int) bool {
	was := s.has(i)
	s[i/64] &^= 1 << (i % 64)
	return was
}
