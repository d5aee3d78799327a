package secret

import (
	"cmp"
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

// Params are argon2id's costs.
type Params struct {
	MemoryKiB  uint32 // zero means 19456 (19 MiB)
	Iterations uint32 // zero means 2
	Threads    uint8  // zero means 1
}

// The password hashing advice of OWASP for argon2id.
var defaultParams = Params{MemoryKiB: 19 * 1024, Iterations: 2, Threads: 1}

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

// Work is how much a check costs, which must not tell accounts apart.
type Work int

// The kinds of work.
const (
	Argon Work = iota
	Scrypt
)

// Keeper makes and checks what is stored of secrets. New hashes of passwords are
// argon2id over the password or, with a pepper, over HMAC-SHA256(pepper, password):
//
//	<pepper marker>$argon2id$v=19$m=19456,t=2,p=1$<salt>$<key>
//
// The marker names the pepper without giving it away, so that a pepper can be
// replaced while the hashes made with the former one still verify.
type Keeper struct {
	params   argon2id.Params
	marker   string            // of new hashes
	peppers  map[string][]byte // by marker
	imported string            // pepper of scrypt p1 hashes; empty when there is none
}

// New makes a keeper. imported is the pepper of imported scrypt hashes; empty means
// pepper. Former peppers still verify and open.
func New(params Params, pepper string, former []string, imported string) *Keeper {
	k := &Keeper{
		params: argon2id.Params{
			Memory:      cmp.Or(params.MemoryKiB, defaultParams.MemoryKiB),
			Iterations:  cmp.Or(params.Iterations, defaultParams.Iterations),
			Parallelism: cmp.Or(params.Threads, defaultParams.Threads),
			SaltLength:  16,
			KeyLength:   32,
		},
		marker:   noPepper,
		peppers:  map[string][]byte{},
		imported: cmp.Or(imported, pepper),
	}
	for _, p := range append([]string{pepper}, former...) {
		if p != "" {
			k.peppers[pepperMarker(p)] = []byte(p)
		}
	}
	if pepper != "" {
		k.marker = pepperMarker(pepper)
	}
	return k
}

func pepperMarker(pepper string) string {
	mac := hmac.New(sha256.New, []byte(pepper))
	mac.Write([]byte("telemetryd pepper marker"))
	return "p" + hex.EncodeToString(mac.Sum(nil)[:4])
}

// seasoned is what argon2id hashes; false when the pepper is not known.
func (k *Keeper) seasoned(password, marker string) (string, bool) {
	if marker == noPepper {
		return password, true
	}
	pepper, ok := k.peppers[marker]
	if !ok {
		return "", false
	}
	mac := hmac.New(sha256.New, pepper)
	mac.Write([]byte(password))
	return base64.RawStdEncoding.EncodeToString(mac.Sum(nil)), true
}

// Hash returns what is stored of a password.
func (k *Keeper) Hash(password string) (string, error) {
	input, _ := k.seasoned(password, k.marker)
	text, err := argon2id.CreateHash(input, &k.params)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return k.marker + text, nil
}

// Verify checks the password. Whatever the outcome, it does the work of one
// check of the hash's kind. stale asks for a new hash of the password: the
// stored one is of a former kind, pepper or cost.
func (k *Keeper) Verify(stored, password string) (match, stale bool) {
	switch parsed := parseHash(stored).(type) {
	case argonHash:
		input, known := k.seasoned(password, parsed.marker)
		match, params, err := argon2id.CheckHash(input, parsed.text)
		if err != nil {
			return false, false
		}
		stale := parsed.marker != k.marker || params.Memory != k.params.Memory ||
			params.Iterations != k.params.Iterations || params.Parallelism != k.params.Parallelism ||
			params.KeyLength != k.params.KeyLength
		return match && known, stale
	case scryptHash:
		input := password
		if parsed.peppered {
			input += k.imported
		}
		match := subtle.ConstantTimeCompare(scryptSum(input, parsed.salt), parsed.key) == 1
		return match && (!parsed.peppered || k.imported != ""), true
	case legacyHash:
		sum := sha256.Sum256([]byte(password + legacySalt))
		if subtle.ConstantTimeCompare(sum[:], parsed) == 1 {
			return true, true // the new hash that follows is the work
		}
	}
	k.Pretend(Argon, password)
	return false, false
}

// Pretend does the work of a check that there is nothing to check against.
func (k *Keeper) Pretend(kind Work, password string) {
	if kind == Scrypt {
		var salt [scryptSalt]byte
		rand.Read(salt[:])
		scryptSum(password, salt[:])
		return
	}
	var salt [16]byte
	rand.Read(salt[:])
	input, _ := k.seasoned(password, k.marker)
	argon2.IDKey([]byte(input), salt[:], k.params.Iterations, k.params.Memory, k.params.Parallelism, k.params.KeyLength)
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

// Valid reports whether the text is a password hash that sign-in can
// check: this package's own, scrypt-v1, or the legacy SHA-256.
func Valid(text string) bool { return parseHash(text) != nil }
