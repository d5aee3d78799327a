package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// Token makes a secret of 256 random bits that clients can put anywhere: 43
// characters of base64url.
func Token() string {
	var b [32]byte
	rand.Read(b[:]) // crypto/rand never fails: it aborts the program instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// ID makes an opaque row id: at least 128 random bits as lower-case letters and
// digits, so that it can stand in a command line, behind a word for its kind.
func ID(kind string) string { return kind + strings.ToLower(rand.Text()) }

// Digest is what is stored of a secret that was made at random. It needs neither
// salt nor slow work, which are for what people think up: nobody tries 2^112 of them.
func Digest(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}
