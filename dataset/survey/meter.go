package survey

import "sync"

// meterStep is how many bytes lie between two calls of progress.
const meterStep = 1 << 20

// meter adds up what the readers of a source have done.
type meter struct {
	name  string
	total int64
	show  func(source string, done, total int64)

	mu          sync.Mutex
	done, shown int64
}

func newMeter(name string, total int64, show func(string, int64, int64)) *meter {
	return &meter{name: name, total: total, show: show}
}

func (m *meter) add(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += bytes
	if m.show != nil && m.done-m.shown >= meterStep {
		m.shown = m.done
		m.show(m.name, min(m.done, m.total), m.total)
	}
}
