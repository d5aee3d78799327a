package ably

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

// TokenRequest is a signed request that an Ably client exchanges for a token with
// Ably. Its members are those of Ably's own specification.
type TokenRequest struct {
	KeyName    string `json:"keyName"`
	Timestamp  int64  `json:"timestamp"` // ms since the Unix epoch
	TTL        int64  `json:"ttl"`       // ms
	Capability string `json:"capability"`
	ClientID   string `json:"clientId"`
	Nonce      string `json:"nonce"`
	MAC        string `json:"mac"`
}

// tokenLife is how long a token is good for.
const tokenLife = time.Hour

// NewTokenRequest makes a token request for one channel. key is "name:secret";
// the secret never leaves the server: it keys the HMAC-SHA256 over the members,
// each followed by a newline. It fails for a key of another form.
func NewTokenRequest(key, channel string, operations []string, clientID string, now time.Time, nonce string) (TokenRequest, error) {
	name, secret, ok := strings.Cut(key, ":")
	if !ok || name == "" || secret == "" || strings.ContainsAny(key, " \t\r\n") || strings.Contains(secret, ":") {
		return TokenRequest{}, errors.New("the key is not of the form name:secret")
	}
	capability, err := json.Marshal(map[string][]string{channel: operations})
	if err != nil {
		return TokenRequest{}, err
	}
	t := TokenRequest{
		KeyName: name, Timestamp: now.UnixMilli(), TTL: tokenLife.Milliseconds(),
		Capability: string(capability), ClientID: clientID, Nonce: nonce,
	}
	mac := hmac.New(sha256.New, []byte(secret))
	for _, part := range []string{t.KeyName, strconv.FormatInt(t.TTL, 10), t.Capability, t.ClientID, strconv.FormatInt(t.Timestamp, 10), t.Nonce} {
		mac.Write([]byte(part))
		mac.Write([]byte{'\n'})
	}
	t.MAC = base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return t, nil
}
