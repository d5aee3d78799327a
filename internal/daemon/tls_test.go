package daemon_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/daemon"
	"github.com/ecovolt/telemetryd/internal/daemon/daemontest"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/request"
)

// certificate writes one for 127.0.0.1 and its key, and returns who trusts it.
func certificate(t *testing.T) (cert, key string, trust *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	trust = x509.NewCertPool()
	trust.AddCert(parsed)
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", keyDER), trust
}

// With --tls-cert and --tls-key the daemon answers over TLS, and over nothing
// else; browsers are told to keep to it.
func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key, trust := certificate(t)
	config := daemon.Config{Listen: "127.0.0.1:0", DatabaseURL: dbtest.URL(t), Tick: 100 * time.Millisecond, TLSCert: cert, TLSKey: key}
	d, err := daemon.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Stop(t.Context()) })
	address, ok := strings.CutPrefix(d.URL(), "https://")
	if !ok {
		t.Fatalf("the daemon's URL is %s", d.URL())
	}
	get := func(url string, versions uint16) (*http.Response, string, error) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust, MaxVersion: versions}}}
		defer client.CloseIdleConnections()
		got, err := client.Get(url)
		if err != nil {
			return nil, "", err
		}
		defer got.Body.Close()
		text, err := io.ReadAll(got.Body)
		return got, string(text), err
	}
	got, text, err := get(d.URL()+"/api/config", tls.VersionTLS13)
	if err != nil || got.StatusCode != http.StatusOK || got.Header.Get("Strict-Transport-Security") == "" || !strings.Contains(text, `"CONVEX_URL":"https://`) {
		t.Errorf("over TLS: %v %v %s", got, err, text)
	}
	if got, text, err := get("http://"+address+"/health", 0); err == nil && got.StatusCode != http.StatusBadRequest {
		t.Errorf("without TLS: %d %s", got.StatusCode, text)
	}
	if _, _, err := get(d.URL()+"/health", tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 was taken")
	}
	config.TLSKey = cert
	if d, err := daemon.Start(t.Context(), config); err == nil {
		_ = d.Stop(t.Context())
		t.Error("a key that is none was taken")
	} else if !strings.Contains(err.Error(), "TLS certificate") {
		t.Errorf("a key that is none: %v", err)
	}
}

// What a client makes up does not become a label of the metrics, and function
// endpoints and sockets are counted by route, as REST is.
func TestRequestMetrics(t *testing.T) {
	t.Parallel()
	d := daemontest.Start(t, daemon.Config{})
	send := func(method, path, body string) string {
		_, _, text := request.Send(t, method, d.URL()+path, body)
		return text
	}
	made := strings.Repeat("X", 1000)
	send(made, "/api/v1/sessions", "")
	send("GET", "/"+made, "")
	send("GET", "/api/v1/fields", "")
	send("POST", "/api/query", `{"path":"config:getPublicConfig"}`)
	send("POST", "/api/run/"+made+"/x", `{}`)
	send("GET", "/api/1.17.4/sync", "") // no websocket
	text := send("GET", "/metrics", "")
	for _, want := range []string{
		`_count{method="other",route="other",status="405"} 1`,
		`_count{method="GET",route="other",status="404"} 1`,
		`_count{method="GET",route="/api/v1/fields",status="200"} 1`,
		`_count{method="POST",route="/api/query",status="200"} 1`,
		`_count{method="POST",route="/api/run/:function",status="`,
		`_count{method="GET",route="/api/:version/sync",status="4`,
	} {
		if !strings.Contains(text, "telemetryd_http_request_duration_seconds"+want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if strings.Contains(text, made) {
		t.Error("a label holds what a client made up")
	}
}
