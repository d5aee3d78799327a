package archive

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzArchiveName(f *testing.F) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	f.Add(content{kind: kindPart, session: 1, batch: 2, first: 3, last: 4, skip: 5, records: 6}.name(secret))
	f.Add(content{kind: kindOverview, session: -1, first: -1, stats: &Stats{Distance: 1}}.name(secret))
	f.Add("")
	f.Fuzz(func(t *testing.T, name string) {
		file, err := parseName(name, secret)
		if err != nil {
			return
		}
		if again := file.name(secret); again != name {
			t.Errorf("%q reads as %+v, which is named %q", name, file, again)
		}
	})
}

func TestArchiveNameHoldsItsFile(t *testing.T) {
	t.Parallel()
	stats := &Stats{}
	for i, figure := range stats.figures() {
		*figure = float64(i) + 0.5
	}
	file := content{kindOverview, 1 << 30, 1<<31 - 1, -5, 1 << 60, 1<<32 - 1, 1<<64 - 1, stats}
	got, err := parseName(file.name([]byte("secret")), []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(file, got, cmp.AllowUnexported(content{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := parseName(file.name([]byte("secret")), []byte("another")); err == nil {
		t.Error("another secret's signature passed")
	}
}
