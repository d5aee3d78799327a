package record

import "iter"

// Members are those of a JSON object, in its order: names with their quotes, and values
// as they stand. The object is one that was checked, or that PostgreSQL wrote.
func Members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for at := skip(object, 1); object[at] == '"'; {
			end := endOf(object, at)
			begin := skip(object, skip(object, end)+len(":"))
			next := endOf(object, begin)
			if !yield(object[at:end], object[begin:next]) {
				return
			}
			if at = skip(object, next); object[at] == ',' {
				at = skip(object, at+1)
			}
		}
	}
}

// skip returns where the white space from there on ends.
func skip(object []byte, at int) int {
	for object[at] <= ' ' {
		at++
	}
	return at
}

// endOf returns where the value that begins there ends.
func endOf(object []byte, at int) int {
	depth := 0
	for ; ; at++ {
		switch c := object[at]; c {
		case '"':
			for at++; object[at] != '"'; at++ {
				if object[at] == '\\' {
					at++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default: // up to the end of a number or a word
			if depth > 0 {
				continue
			}
			for c := object[at]; c > ' ' && c != ',' && c != '}' && c != ']'; c = object[at] {
				at++
			}
			return at
		}
		if depth == 0 {
			return at + 1
		}
	}
}
