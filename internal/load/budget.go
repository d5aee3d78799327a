package load

import "sync"

// Budget shares what is held for long, such as bytes on disk and what clients
// watch. One caller holds half of it at most, and all that are known by their
// network alone three quarters; the daemon's own work is a caller like others.
// Who holds nothing may take what is more than that at once.
type Budget struct {
	all int64

	mu        sync.Mutex
	left      int64
	strangers int64 // held by those
	held      map[string]int64
}

// NewBudget shares that many bytes, or things.
func NewBudget(bytes int64) *Budget {
	return &Budget{all: bytes, left: bytes, held: map[string]int64{}}
}

// Take reports whether the caller may hold so many more.
func (b *Budget) Take(caller string, bytes int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if held := b.held[caller]; bytes > b.left || held > 0 && held+bytes > b.all/2 {
		return false
	}
	if stranger(caller) {
		if b.strangers > 0 && b.strangers+bytes > b.all-b.all/4 {
			return false
		}
		b.strangers += bytes
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
	if stranger(caller) {
		b.strangers -= bytes
	}
	if b.held[caller] -= bytes; b.held[caller] == 0 {
		delete(b.held, caller)
	}
}
