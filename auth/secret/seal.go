package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// errSealed is what cannot be opened: it was sealed under a pepper that is not
// known any more, for another owner, or is damaged.
var errSealed = errors.New("the sealed secret cannot be opened: was the pepper replaced?")

// Seal returns what is stored of a secret that has to be read again:
//
//	<pepper marker>$<nonce and AES-256-GCM of the secret, base64>
//
// under a key from the pepper. It opens for the same owner only. Without a pepper
// there is nothing to keep it from whoever has the database, and it is stored as it is.
func (k *Keeper) Seal(plain []byte, owner string) string {
	if aead := k.aead(k.marker); aead != nil {
		nonce := make([]byte, aead.NonceSize())
		rand.Read(nonce)
		plain = aead.Seal(nonce, nonce, plain, []byte(owner))
	}
	return k.marker + "$" + base64.RawStdEncoding.EncodeToString(plain)
}

// Open returns the secret of a text that Seal made. stale asks for sealing it
// anew: it is under a former pepper, or under none although there is one.
func (k *Keeper) Open(sealed, owner string) (plain []byte, stale bool, err error) {
	marker, text, _ := strings.Cut(sealed, "$")
	plain, err = base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", errSealed, err)
	}
	if marker != noPepper {
		aead := k.aead(marker)
		if aead == nil || len(plain) < aead.NonceSize() {
			return nil, false, errSealed
		}
		nonce := plain[:aead.NonceSize()]
		if plain, err = aead.Open(nil, nonce, plain[len(nonce):], []byte(owner)); err != nil {
			return nil, false, fmt.Errorf("%w: %w", errSealed, err)
		}
	}
	return plain, marker != k.marker, nil
}

// aead returns the cipher under the key of a pepper, or nil where it is not known.
func (k *Keeper) aead(marker string) cipher.AEAD {
	pepper, ok := k.peppers[marker]
	if !ok {
		return nil
	}
	mac := hmac.New(sha256.New, pepper)
	mac.Write([]byte("telemetryd sealed secrets"))
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil { // only for a key of another length
		return nil
	}
	aead, err := cipher.NewGCM(block)
	if err != nil { // only for a block of another length
		return nil
	}
	return aead
}
