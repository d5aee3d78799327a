package pgserver

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// LookAtLogEvery sets how often the size of the log is looked at.
func (o *Options) LookAtLogEvery(pause time.Duration) { o.logPause = pause }

func (s *Server) PID() int { return s.current().pid }

// TCPURL connects as the server's owner through the loopback port. It holds the
// password.
func (s *Server) TCPURL() (string, error) {
	content, err := os.ReadFile(s.cluster.passwordFile())
	if err != nil {
		return "", fmt.Errorf("read the database's password: %w", err)
	}
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword(user, strings.TrimSpace(string(content))),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: "/" + database,
	}).String(), nil
}
