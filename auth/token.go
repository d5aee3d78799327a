package auth

// tokenLength is what 32 bytes take in base64url without padding.
const tokenLength = 43

// WellFormedToken reports whether the text can be a bearer token at all:
// exactly 43 characters of base64url.
func WellFormedToken(text string) bool {
	if len(text) != tokenLength {
		return false
	}
	for i := range len(text) {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
