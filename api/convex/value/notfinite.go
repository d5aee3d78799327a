package value

import "bytes"

// notFinite are the words that Python writes for numbers which JSON has not, with
// the form that Convex gives them: the bytes of the float, little-endian, base64.
var notFinite = []struct{ word, form string }{
	{"NaN", `{"$float":"AAAAAAAA+H8="}`},
	{"Infinity", `{"$float":"AAAAAAAA8H8="}`},
	{"-Infinity", `{"$float":"AAAAAAAA8P8="}`},
}

// SpellOut returns b with Python's words for numbers that are not finite in the
// form that Convex gives them, so that whoever reads on can name the record and
// the field. It returns b itself when there is none.
func SpellOut(b []byte) []byte {
	var out []byte
	done, text := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\\' && text:
			i++
		case c == '"':
			text = !text
		case text || c != 'N' && c != 'I' && c != '-':
		default:
			for _, n := range notFinite {
				if bytes.HasPrefix(b[i:], []byte(n.word)) {
					out = append(append(out, b[done:i]...), n.form...)
					done = i + len(n.word)
					i = done - 1
					break
				}
			}
		}
	}
	if done == 0 {
		return b
	}
	return append(out, b[done:]...)
}
