package httpx

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/ecovolt/telemetryd/auth"
)

// Proxies are the addresses whose word on where a request came from counts.
type Proxies []netip.Prefix

// ParseProxies takes addresses and networks, such as 10.0.0.1 or 10.0.0.0/8.
func ParseProxies(entries []string) (Proxies, error) {
	var trusted Proxies
	for _, entry := range entries {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		network, err := netip.ParsePrefix(entry)
		if address, alone := netip.ParseAddr(entry); alone == nil {
			network, err = address.Prefix(address.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("trusted proxy %q: not an address or network", entry)
		}
		trusted = append(trusted, network.Masked())
	}
	return trusted, nil
}

func (p Proxies) trust(address netip.Addr) bool {
	for _, network := range p {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// client returns the address that a request came from: the peer's or, as long as
// that is a trusted proxy, the one before it in X-Forwarded-For. Whatever else
// the header says was written by strangers.
func (p Proxies) client(r *http.Request) string {
	address := peer(r)
	if !address.IsValid() {
		return "" // a unix socket
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && p.trust(address); i-- {
		before, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		address = before.Unmap()
	}
	return address.String()
}

// peer is the address that the connection comes from; invalid for a unix socket.
func peer(r *http.Request) netip.Addr {
	address, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return address.Addr().Unmap()
}

// NoteClient lets everything behind it know where a request came from; see
// auth.ClientAddress.
func (p Proxies) NoteClient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(auth.WithClientAddress(r.Context(), p.client(r))))
	})
}

// Credentials reads an Authorization header: "Bearer" carries a session token
// or a deploy key, "Convex" a deploy key, as Convex clients send it. A bearer
// token of another issuer (a JWT) is nobody in particular. Known is false where
// the scheme is neither; no header is nobody, too.
func Credentials(header string) (c auth.Credentials, known bool) {
	scheme, value, _ := strings.Cut(strings.TrimSpace(header), " ")
	value = strings.TrimSpace(value)
	switch strings.ToLower(scheme) {
	case "":
		return c, true
	case "bearer":
		switch {
		case auth.WellFormedToken(value):
			c.Token = value
		case !isJWT(value):
			c.Key = value
		}
		return c, true
	case "convex":
		return auth.Credentials{Key: value}, true
	}
	return c, false
}

// isJWT tells a JSON Web Token by its header, the base64 of `{"`, and its parts.
func isJWT(value string) bool {
	return strings.HasPrefix(value, "eyJ") && strings.Count(value, ".") == 2
}
