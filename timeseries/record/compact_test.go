package record

import (
	"encoding/json"
	"math/big"
	"reflect"
	"strings"
	"testing"
)

func TestCompact(t *testing.T) {
	t.Parallel()
	zeros := strings.Repeat("0", 300)
	for raw, want := range map[string]string{
		"\x01[1" + zeros + ", -12" + zeros + ", 0." + zeros + "7]":          "\x01[1e300, -12e300, 7e-301]",
		"\x01{\"1" + zeros + `\"1` + zeros + `": 0.5, "a": 1` + zeros + "}": "\x01{\"1" + zeros + `\"1` + zeros + `": 0.5, "a": 1e300}`,
		"\x01[" + strings.Repeat("1234567890", 40) + "]":                    "\x01[" + strings.Repeat("1234567890", 40) + "]",
		"\x01[" + strings.Repeat("0.25, ", 80) + "0]":                       "\x01[" + strings.Repeat("0.25, ", 80) + "0]",
		"\x01[1." + zeros + "5]":                                            "\x01[1." + zeros + "5]",
		"\x01[1" + zeros[:200] + "]":                                        "\x01[1" + zeros[:200] + "]", // short
	} {
		got := string(compact([]byte(raw)))
		if got != want {
			t.Errorf("%q becomes %q, want %q", raw, got, want)
		}
		if a, b := values(t, raw[1:]), values(t, got[1:]); !reflect.DeepEqual(a, b) {
			t.Errorf("%v becomes %v", a, b)
		}
	}
}

// values are a text's numbers as exact fractions.
func values(t *testing.T, text string) (list []string) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err != nil {
			return list
		}
		if n, ok := token.(json.Number); ok {
			r, ok := new(big.Rat).SetString(n.String())
			if !ok {
				t.Fatalf("%s is no number", n)
			}
			list = append(list, r.String())
		}
	}
}
