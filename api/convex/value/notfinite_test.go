package value_test

import (
	"encoding/json"
	"testing"

	"github.com/ecovolt/telemetryd/api/convex/value"
)

func TestSpellOut(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"a":NaN,"b":[-Infinity,Infinity]}`: `{"a":{"$float":"AAAAAAAA+H8="},"b":[{"$float":"AAAAAAAA8P8="},{"$float":"AAAAAAAA8H8="}]}`,
		`{"a":"NaN \" Infinity","b":-1}`:     `{"a":"NaN \" Infinity","b":-1}`,
		`{"a":"\\","b":NaN}`:                 `{"a":"\\","b":{"$float":"AAAAAAAA+H8="}}`,
		`Nan`:                                `Nan`,
		``:                                   ``,
	} {
		if got := string(value.SpellOut([]byte(in))); got != want {
			t.Errorf("%s became %s", in, got)
		}
	}
}

// What is JSON stays as it is.
func FuzzSpellOut(f *testing.F) {
	f.Add([]byte(`{"a":"NaN","b":[-1,"\\\"-Infinity"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if out := value.SpellOut(b); json.Valid(b) && string(out) != string(b) {
			t.Errorf("%q became %q", b, out)
		}
	})
}
