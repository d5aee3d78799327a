package ws

// Queue is what waits to be written to one client.
type Queue[T any] struct {
	items []item[T]
	head  int // items[:head] were taken
	bytes int
}

type item[T any] struct {
	value T
	size  int
}

// Bytes is the size of all that waits.
func (q *Queue[T]) Bytes() int { return q.bytes }

// Len is how many messages wait.
func (q *Queue[T]) Len() int { return len(q.items) - q.head }

// Fits reports whether a message of that size stays within the limit. One of
// any size fits into a queue without bytes, so that the limit is none on
// messages.
func (q *Queue[T]) Fits(size, limit int) bool { return q.bytes == 0 || q.bytes+size <= limit }

// Push appends a message.
func (q *Queue[T]) Push(value T, size int) {
	q.items = append(q.items, item[T]{value, size})
	q.bytes += size
}

// Pop takes the first message, if there is one. An empty queue keeps no more
// memory than a few messages need.
func (q *Queue[T]) Pop() (value T, ok bool) {
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
		if cap(q.items) > 64 {
			q.items = nil
		}
		return value, false
	}
	it := q.items[q.head]
	q.items[q.head] = item[T]{}
	q.head++
	q.bytes -= it.size
	return it.value, true
}

// Remove takes back the messages that lost says.
func (q *Queue[T]) Remove(lost func(T) bool) {
	kept := q.items[:q.head]
	for _, it := range q.items[q.head:] {
		if lost(it.value) {
			q.bytes -= it.size
		} else {
			kept = append(kept, it)
		}
	}
	clear(q.items[len(kept):])
	q.items = kept
}
