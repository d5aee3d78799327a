package check

import "strings"

// Limits of an e-mail address, in characters.
const (
	maxEmail  = 254
	maxLocal  = 64
	maxDomain = 189
	maxLabel  = 63
)

// Email trims the address and puts it in lower case, and reports
// whether it is one that the function contract takes: one @, a dot-atom before
// it and a domain name of at least two labels behind it.
func Email(text string) (email string, ok bool) {
	email = strings.ToLower(strings.TrimSpace(text))
	local, domain, found := strings.Cut(email, "@")
	if !found || len(email) > maxEmail || !validLocal(local) || !validDomain(domain) {
		return "", false
	}
	return email, true
}

func validLocal(local string) bool {
	if local == "" || len(local) > maxLocal || local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, "..") {
		return false
	}
	for i := range len(local) {
		c := local[i]
		if !isLower(c) && !isDigit(c) && !strings.ContainsRune(".!#$%&'*+/=?^_{|}~-`", rune(c)) {
			return false
		}
	}
	return true
}

func validDomain(domain string) bool {
	if len(domain) > maxDomain {
		return false
	}
	labels := strings.Split(domain, ".")
	if len(labels) < 2 {
		return false
	}
	for _, label := range labels {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !isLower(c) && !isDigit(c) && c != '-' {
				return false
			}
		}
	}
	last := labels[len(labels)-1]
	for i := range len(last) {
		if !isLower(last[i]) {
			return false
		}
	}
	return len(last) >= 2
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
