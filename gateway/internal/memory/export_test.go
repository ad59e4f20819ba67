package memory

// Shelved waits until the memories of a person are at hand, and reports whether they are.
func (m *Memory) Shelved(owner string) bool {
	m.wg.Wait()
	s := m.shelves.get(owner)
	return s != nil && !s.large
}

// Shelf is what is at hand of a person.
func (m *Memory) Shelf(owner string) *shelf { return m.shelves.get(owner) }
