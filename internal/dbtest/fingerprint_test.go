package dbtest

import "testing"

// The fingerprint is that of the schema in the program, whatever files there are.
func TestFingerprintNeedsNoCheckout(t *testing.T) {
	within, err := fingerprint()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if elsewhere, err := fingerprint(); err != nil || elsewhere != within {
		t.Errorf("%q, %v; want %q", elsewhere, err, within)
	}
}
