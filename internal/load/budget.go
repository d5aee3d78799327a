package load

import "sync"

// Budget shares bytes that are held for long, such as those on disk. One caller
// holds half of them at most; the daemon's own work is a caller like others.
type Budget struct {
	mu   sync.Mutex
	left int64
	most int64
	held map[string]int64
}

// NewBudget shares that many bytes.
func NewBudget(bytes int64) *Budget {
	return &Budget{left: bytes, most: bytes / 2, held: map[string]int64{}}
}

// Take reports whether the caller may hold so many more.
func (b *Budget) Take(caller string, bytes int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bytes > b.left || b.held[caller]+bytes > b.most {
		return false
	}
	b.left -= bytes
	b.held[caller] += bytes
	return true
}

// Give gives them back.
func (b *Budget) Give(caller string, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += bytes
	if b.held[caller] -= bytes; b.held[caller] == 0 {
		delete(b.held, caller)
	}
}
