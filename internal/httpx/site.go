package httpx

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// Site knows under which URLs clients may reach us. What a request says of that,
// in its Host and X-Forwarded-Proto, was written by a stranger: in a link or a
// cache it would lead others to whatever server it names.
type Site struct {
	public  string
	hosts   []string
	proxies Proxies
	log     *slog.Logger
	warned  rate.Sometimes
}

// NewSite takes the public URL, which goes before all else where there is one;
// further names that clients may use; and the proxies whose word on Host and
// protocol counts.
func NewSite(public string, hosts []string, proxies Proxies, log *slog.Logger) *Site {
	return &Site{public: strings.TrimSuffix(public, "/"), hosts: hosts, proxies: proxies, log: log, warned: rate.Sometimes{Interval: time.Minute}}
}

// BaseURL is the URL under which the client reached us, without a slash at the
// end, or "" where the request's word for it does not count.
func (s *Site) BaseURL(r *http.Request) string {
	if s.public != "" {
		return s.public
	}
	proxied := s.proxies.trust(peer(r))
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	if host = strings.ToLower(strings.TrimSuffix(host, ".")); !proxied && !isLocal(host) && !slices.Contains(s.hosts, host) {
		s.warned.Do(func() {
			s.log.Warn("a client used a name for this server that the settings do not have, and so gets no links to it; see --public-url, --allow-hosts and --trust-proxies",
				"host", fault.Clip(r.Host))
		})
		return ""
	}
	if r.TLS != nil || proxied && r.Header.Get("X-Forwarded-Proto") == "https" {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// localName is a name that nobody can register: of one label, or in a domain for
// networks of one's own (RFC 6761, 6762, 8375).
var localName = regexp.MustCompile(`^([a-z0-9_-]+\.)*([a-z0-9_-]+\.(localhost|local|lan|internal|home\.arpa)|localhost)$|^[a-z0-9_-]+$`)

// isLocal reports whether a name can only be this server's: an address, which no
// stranger's name can be made to stand for, or a local name.
func isLocal(host string) bool {
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || localName.MatchString(host)
}
