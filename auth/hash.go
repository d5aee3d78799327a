package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/scrypt"
)

// HashParams are argon2id's costs.
type HashParams struct {
	MemoryKiB  uint32 // zero means 19456 (19 MiB)
	Iterations uint32 // zero means 2
	Threads    uint8  // zero means 1
}

// The password hashing advice of OWASP for argon2id.
var defaultHashParams = HashParams{MemoryKiB: 19 * 1024, Iterations: 2, Threads: 1}

// Bounds on what a stored argon2id text may ask for: an imported text must not
// be able to exhaust the machine.
const (
	maxHashMemoryKiB  = 256 * 1024
	maxHashIterations = 16
	maxHashThreads    = 16
	minHashKey        = 16
	maxHashKey        = 64
	maxHashText       = 512
)

// What imported scrypt hashes were made with; others do not verify.
const (
	scryptN    = 1 << 17
	scryptR    = 8
	scryptP    = 1
	scryptKey  = 64
	scryptSalt = 16
	scryptHead = "scrypt-v1$131072$8$1$"
)

const legacySalt = "ecovolt-salt-v1"

// noPepper marks a hash that was made without a pepper.
const noPepper = "p0"

// work is how much a check costs, which must not tell accounts apart.
type work int

const (
	workArgon work = iota
	workScrypt
)

// hasher makes and checks password hashes. New ones are argon2id over the
// password or, with a pepper, over HMAC-SHA256(pepper, password):
//
//	<pepper marker>$argon2id$v=19$m=19456,t=2,p=1$<salt>$<key>
//
// The marker names the pepper without giving it away, so that a pepper can be
// replaced while the hashes made with the former one still verify.
type hasher struct {
	params   argon2id.Params
	marker   string            // of new hashes
	peppers  map[string][]byte // by marker
	imported string            // pepper of scrypt p1 hashes; empty when there is none
}

func newHasher(params HashParams, pepper string, former []string, imported string) *hasher {
	h := &hasher{
		params: argon2id.Params{
			Memory:      orDefault(params.MemoryKiB, defaultHashParams.MemoryKiB),
			Iterations:  orDefault(params.Iterations, defaultHashParams.Iterations),
			Parallelism: orDefault(params.Threads, defaultHashParams.Threads),
			SaltLength:  16,
			KeyLength:   32,
		},
		marker:   noPepper,
		peppers:  map[string][]byte{},
		imported: orDefault(imported, pepper),
	}
	for _, p := range append([]string{pepper}, former...) {
		if p != "" {
			h.peppers[pepperMarker(p)] = []byte(p)
		}
	}
	if pepper != "" {
		h.marker = pepperMarker(pepper)
	}
	return h
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

func pepperMarker(pepper string) string {
	mac := hmac.New(sha256.New, []byte(pepper))
	mac.Write([]byte("telemetryd pepper marker"))
	return "p" + hex.EncodeToString(mac.Sum(nil)[:4])
}

// seasoned is what argon2id hashes; false when the pepper is not known.
func (h *hasher) seasoned(password, marker string) (string, bool) {
	if marker == noPepper {
		return password, true
	}
	pepper, ok := h.peppers[marker]
	if !ok {
		return "", false
	}
	mac := hmac.New(sha256.New, pepper)
	mac.Write([]byte(password))
	return base64.RawStdEncoding.EncodeToString(mac.Sum(nil)), true
}

func (h *hasher) hash(password string) (string, error) {
	input, _ := h.seasoned(password, h.marker)
	text, err := argon2id.CreateHash(input, &h.params)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return h.marker + text, nil
}

// verify checks the password. Whatever the outcome, it does the work of one
// check of the hash's kind. stale asks for a new hash of the password: the
// stored one is of a former kind, pepper or cost.
func (h *hasher) verify(stored, password string) (match, stale bool) {
	switch parsed := parseHash(stored).(type) {
	case argonHash:
		input, known := h.seasoned(password, parsed.marker)
		match, params, err := argon2id.CheckHash(input, parsed.text)
		if err != nil {
			return false, false
		}
		stale := parsed.marker != h.marker || params.Memory != h.params.Memory ||
			params.Iterations != h.params.Iterations || params.Parallelism != h.params.Parallelism ||
			params.KeyLength != h.params.KeyLength
		return match && known, stale
	case scryptHash:
		input := password
		if parsed.peppered {
			input += h.imported
		}
		match := subtle.ConstantTimeCompare(scryptSum(input, parsed.salt), parsed.key) == 1
		return match && (!parsed.peppered || h.imported != ""), true
	case legacyHash:
		sum := sha256.Sum256([]byte(password + legacySalt))
		if subtle.ConstantTimeCompare(sum[:], parsed) == 1 {
			return true, true // the new hash that follows is the work
		}
	}
	h.pretend(workArgon, password)
	return false, false
}

// pretend does the work of a check that there is nothing to check against.
func (h *hasher) pretend(kind work, password string) {
	if kind == workScrypt {
		var salt [scryptSalt]byte
		rand.Read(salt[:])
		scryptSum(password, salt[:])
		return
	}
	var salt [16]byte
	rand.Read(salt[:])
	input, _ := h.seasoned(password, h.marker)
	argon2.IDKey([]byte(input), salt[:], h.params.Iterations, h.params.Memory, h.params.Parallelism, h.params.KeyLength)
}

func scryptSum(input string, salt []byte) []byte {
	key, err := scrypt.Key([]byte(input), salt, scryptN, scryptR, scryptP, scryptKey)
	if err != nil { // only for parameters that it does not take, and these are constant
		return nil
	}
	return key
}

type (
	argonHash struct {
		marker string
		text   string // from the first $
	}
	scryptHash struct {
		peppered  bool
		salt, key []byte
	}
	legacyHash []byte // SHA-256 of the password followed by legacySalt
)

// parseHash returns one of the three kinds, or nil for anything else.
func parseHash(text string) any {
	if len(text) > maxHashText {
		return nil
	}
	if rest, ok := strings.CutPrefix(text, scryptHead); ok {
		return parseScrypt(rest)
	}
	if sum, err := hex.DecodeString(text); err == nil && len(sum) == sha256.Size {
		return legacyHash(sum)
	}
	marker, rest, ok := strings.Cut(text, "$")
	if !ok || !validMarker(marker) {
		return nil
	}
	rest = "$" + rest
	params, _, key, err := argon2id.DecodeHash(rest)
	if err != nil || len(key) < minHashKey || len(key) > maxHashKey ||
		params.Iterations < 1 || params.Iterations > maxHashIterations ||
		params.Parallelism < 1 || params.Parallelism > maxHashThreads ||
		params.Memory < 8*uint32(params.Parallelism) || params.Memory > maxHashMemoryKiB {
		return nil
	}
	return argonHash{marker: marker, text: rest}
}

func parseScrypt(rest string) any {
	parts := strings.Split(rest, "$")
	if len(parts) != 3 || parts[0] != "p0" && parts[0] != "p1" {
		return nil
	}
	encoding := base64.RawURLEncoding.Strict()
	salt, err := encoding.DecodeString(parts[1])
	if err != nil || len(salt) != scryptSalt {
		return nil
	}
	key, err := encoding.DecodeString(parts[2])
	if err != nil || len(key) != scryptKey {
		return nil
	}
	return scryptHash{peppered: parts[0] == "p1", salt: salt, key: key}
}

func validMarker(marker string) bool {
	if marker == noPepper {
		return true
	}
	sum, ok := strings.CutPrefix(marker, "p")
	if !ok || len(sum) != 8 {
		return false
	}
	_, err := hex.DecodeString(sum)
	return err == nil
}

// validHash reports whether the text is a password hash that sign-in can
// check: this package's own, scrypt-v1, or the legacy SHA-256.
func validHash(text string) bool { return parseHash(text) != nil }
