package httpx_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/httpx"
)

func FuzzCredentials(f *testing.F) {
	for _, seed := range []string{
		"", "Bearer", "Bearer ", "Bearer " + strings.Repeat("a", 43), "bearer tdk_x", "Convex prod:name|secret", "Convex  spaced key ",
		"Basic dXNlcjpwYXNz", "Convex\tx", "Bearer eyJhbGciOiJub25lIn0.e30.x", "Bearer a b", "\x00", strings.Repeat("x", 10000),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		got, known := httpx.Credentials(header)
		if got.Token != "" && !auth.WellFormedToken(got.Token) {
			t.Errorf("%q gives a token that is none: %q", header, got.Token)
		}
		if got.Token != "" && got.Key != "" {
			t.Errorf("%q is a token and a key: %+v", header, got)
		}
		scheme, _, _ := strings.Cut(strings.TrimSpace(header), " ")
		if want := scheme == "" || strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "Convex"); known != want || !known && got != (auth.Credentials{}) {
			t.Errorf("%q gives %+v", header, got)
		}
		if !strings.Contains(header, got.Key) || !strings.Contains(header, got.Token) {
			t.Errorf("%q gives something that is not in it: %+v", header, got)
		}
	})
}

// Whatever a stranger writes into X-Forwarded-For, it is no address of ours,
// and what a trusted proxy added cannot be got around.
func FuzzForwardedFor(f *testing.F) {
	for _, seed := range []string{"", "192.0.2.1", "10.0.0.1, 192.0.2.1", ",", "::1", "[::1]:80", "192.0.2.1:80", "10.0.0.1,,", "::ffff:10.0.0.1", "fe80::1%eth0", "\x00"} {
		f.Add(seed)
	}
	trusted, err := httpx.ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := &http.Request{RemoteAddr: "203.0.113.7:4000", Header: http.Header{"X-Forwarded-For": {header}}}
		if got := trusted.Client(r); got != "203.0.113.7" {
			t.Errorf("a stranger who writes %q becomes %q", header, got)
		}
		r.RemoteAddr = "10.0.0.1:4000"
		r.Header.Set("X-Forwarded-For", header+", 203.0.113.7")
		if got := trusted.Client(r); got != "203.0.113.7" {
			t.Errorf("behind a proxy, %q makes it %q", header, got)
		}
		r.Header.Set("X-Forwarded-For", header)
		got := trusted.Client(r)
		if _, err := netip.ParseAddr(got); err != nil {
			t.Errorf("%q from a proxy gives %q (%v)", header, got, err)
		}
	})
}
