package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status int
		want   string // in the error; empty: none
	}{
		"ready":     {http.StatusOK, ""},
		"not ready": {http.StatusServiceUnavailable, "migrating"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/readyz" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte("migrating"))
			}))
			defer server.Close()
			err := healthcheckCmd{Listen: server.Listener.Addr().String(), Timeout: time.Minute}.Run(t.Context())
			if test.want == "" && err != nil {
				t.Error(err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestHealthcheckOfNothing(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	address := server.Listener.Addr().String()
	server.Close()
	if err := (healthcheckCmd{Listen: address, Timeout: time.Minute}).Run(t.Context()); err == nil {
		t.Error("a port where nobody listens is healthy")
	}
}
