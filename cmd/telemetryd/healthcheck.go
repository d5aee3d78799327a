package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// healthcheckCmd is for containers, whose image has no curl.
type healthcheckCmd struct {
	Listen  string        `default:"127.0.0.1:3210" help:"Address that the daemon listens on, host:port."`
	TLSCert string        `placeholder:"FILE" help:"Given when the daemon serves TLS. The certificate itself is not checked."`
	Timeout time.Duration `default:"5s" help:"How long to wait for the answer."`
}

// Run succeeds when the daemon is ready to serve.
func (h healthcheckCmd) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	host, port, err := net.SplitHostPort(h.Listen)
	if err != nil {
		return fmt.Errorf("address: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	transport := &http.Transport{}
	if h.TLSCert != "" {
		scheme = "https"
		// The name in the certificate is not that of the loopback address.
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1000)) // it only explains
		return fmt.Errorf("not ready: %s: %s", response.Status, strings.TrimSpace(string(text)))
	}
	return nil
}
