package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/ecovolt/telemetryd/auth"
)

// proxies are the addresses whose word on where a request came from counts.
type proxies []netip.Prefix

// parseProxies takes addresses and networks, such as 10.0.0.1 or 10.0.0.0/8.
func parseProxies(entries []string) (proxies, error) {
	var trusted proxies
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

func (p proxies) trust(address netip.Addr) bool {
	for _, network := range p {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// client gives the address that a request came from: the peer's or, as long as
// that is a trusted proxy, the one before it in X-Forwarded-For. Whatever else
// the header says was written by strangers.
func (p proxies) client(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "" // a unix socket
	}
	address := peer.Addr().Unmap()
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

// noteClient lets everything behind it know where a request came from.
func (p proxies) noteClient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(auth.WithClientAddress(r.Context(), p.client(r))))
	})
}
