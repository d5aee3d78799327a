package value

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// vectors are values with their encoding, as the wire specification lists them.
var vectors = []struct {
	json  string
	value any
}{
	{`null`, nil},
	{`true`, true},
	{`"a"`, "a"},
	{`1.5`, 1.5},
	{`3`, 3.0},
	{`[1]`, []any{1.0}},
	{`{"b":true}`, map[string]any{"b": true}},
	{`{"$float":"AAAAAAAA+H8="}`, math.NaN()},
	{`{"$float":"AAAAAAAA8H8="}`, math.Inf(1)},
	{`{"$float":"AAAAAAAA8P8="}`, math.Inf(-1)},
	{`{"$float":"AAAAAAAAAIA="}`, math.Copysign(0, -1)},
	{`{"$integer":"KgAAAAAAAAA="}`, BigInt(42)},
	{`{"$integer":"//////////8="}`, BigInt(-1)},
	{`{"$integer":"/////////38="}`, BigInt(math.MaxInt64)},
	{`{"$integer":"AAAAAAAAAIA="}`, BigInt(math.MinInt64)},
	{`{"$bytes":"AQL/"}`, []byte{1, 2, 255}},
	{`[{"x":{"$integer":"KgAAAAAAAAA="}}]`, []any{map[string]any{"x": BigInt(42)}}},
}

func TestValueVectors(t *testing.T) {
	t.Parallel()
	for _, test := range vectors {
		encoded, err := Append(nil, test.value, Encoded)
		if err != nil || string(encoded) != test.json {
			t.Errorf("Append(%v) = %s, %v; want %s", test.value, encoded, err, test.json)
		}
		decoded, err := Decode([]byte(test.json))
		if f, ok := test.value.(float64); ok && err == nil {
			// NaN is not equal to itself, and -0 is equal to 0.
			if g, ok := decoded.(float64); !ok || math.Signbit(f) != math.Signbit(g) || f != g && !(math.IsNaN(f) && math.IsNaN(g)) {
				t.Errorf("Decode(%s) = %v, want %v", test.json, decoded, f)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(decoded, test.value) {
			t.Errorf("Decode(%s) = %#v, %v; want %#v", test.json, decoded, err, test.value)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		``, ` `, `{`, `[1`, `"a`, `"a\`, `1 2`, `tru`, `{"a"}`, `{"a":}`, `[1,]`, `{]`, `,`, `01`, `1e999`,
		`{"$integer":"AQ=="}`, `{"$integer":42}`, `{"$integer":"?"}`, `{"$float":"AAAAAAAA8D8="}`, `{"$float":""}`,
		`{"$set":[]}`, `{"$map":[]}`, `{"$x":"AQ=="}`, `{"$bytes":"AQL/","b":1}`, `{"a":1,"$b":2}`, `{"é":1}`, `{"a\n":1}`,
		`{"` + strings.Repeat("a", 1025) + `":1}`,
		strings.Repeat("[", 65) + strings.Repeat("]", 65),
		strings.Repeat("[", 1_000_000),
	} {
		if v, err := Decode([]byte(in)); err == nil {
			t.Errorf("Decode(%.40q) = %v, want an error", in, v)
		}
	}
	if _, err := Decode([]byte(strings.Repeat("[", 64) + strings.Repeat("]", 64))); err != nil {
		t.Errorf("64 levels: %v", err)
	}
}

type embedded struct {
	ID string `json:"_id"`
}

func TestAppendForms(t *testing.T) {
	t.Parallel()
	type doc struct {
		embedded
		Name     *string   `json:"name"`
		Gone     *string   `json:"gone,omitempty"`
		At       time.Time `json:"at,omitzero"`
		Hidden   int       `json:"-"`
		Plain    int
		unstated int
		List     []int `json:"list"`
	}
	for _, test := range []struct {
		value          any
		encoded, clean string
	}{
		{doc{embedded: embedded{"x"}, Plain: 7, unstated: 1}, `{"_id":"x","name":null,"Plain":7,"list":[]}`, ""},
		{&doc{List: []int{1}}, `{"_id":"","name":null,"Plain":0,"list":[1]}`, ""},
		{map[string]any{"j": json.RawMessage(`{"k":0}`)}, `{"j":{"k":0}}`, ""},
		{json.RawMessage(nil), `null`, ""},
		{int64(1) << 53, `9007199254740992`, ""},
		{int64(1)<<53 + 1, `{"$integer":"AQAAAAAAIAA="}`, `"9007199254740993"`},
		{uint64(5), `5`, ""},
		{BigInt(42), `{"$integer":"KgAAAAAAAAA="}`, `"42"`},
		{[]byte{1, 2, 255}, `{"$bytes":"AQL/"}`, `"AQL/"`},
		{[]float64{math.NaN(), math.Inf(1), math.Inf(-1)}, `[{"$float":"AAAAAAAA+H8="},{"$float":"AAAAAAAA8H8="},{"$float":"AAAAAAAA8P8="}]`, `["NaN","Infinity","-Infinity"]`},
		{1e21, `1e+21`, ""},
		{1e-7, `1e-07`, ""},
		{123456789.125, `123456789.125`, ""},
		{"a\"\\\n\x00\xff\u2028é", `"a\"\\\n\u0000` + "\ufffd\u2028é" + `"`, ""},
		{map[string]int(nil), `null`, ""},
		{[]string(nil), `[]`, ""},
		{(*doc)(nil), `null`, ""},
	} {
		if test.clean == "" {
			test.clean = test.encoded
		}
		for format, want := range map[Format]string{Encoded: test.encoded, Clean: test.clean} {
			got, err := Append(nil, test.value, format)
			if err != nil || string(got) != want {
				t.Errorf("Append(%#v, %d) = %s, %v; want %s", test.value, format, got, err, want)
			}
		}
	}
	for _, value := range []any{make(chan int), map[int]int{1: 1}, map[string]int{"$a": 1}, map[string]int{"é": 1}, uint64(math.MaxUint64)} {
		if got, err := Append(nil, value, Encoded); err == nil {
			t.Errorf("Append(%v) = %s, want an error", value, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, v := range vectors {
		f.Add([]byte(v.json))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		v, err := Decode(in)
		if err != nil {
			return
		}
		first, err := Append(nil, v, Encoded)
		if err != nil {
			t.Fatalf("%s decodes but does not encode: %v", in, err)
		}
		if !json.Valid(first) {
			t.Fatalf("%s encodes to invalid JSON %s", in, first)
		}
		again, err := Decode(first)
		if err != nil {
			t.Fatalf("%s does not decode again: %v", first, err)
		}
		second, err := Append(nil, again, Encoded)
		if err != nil || string(first) != string(second) {
			t.Fatalf("%s became %s, %v", first, second, err)
		}
	})
}

func TestSoleObject(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ in, want string }{
		{``, `{}`},
		{`[]`, `{}`},
		{` [ ] `, `{}`},
		{`{"a":1}`, `{"a":1}`},
		{`[{"a":[1]}]`, `{"a":[1]}`},
		{` [ {} ] `, `{}`},
		{`[{},{}]`, ``},
		{`[1]`, ``},
		{`1`, ``},
		{`null`, ``},
		{`[{}`, ``},
		{`[{}]x`, ``},
	} {
		got, err := SoleObject([]byte(test.in))
		if string(got) != test.want && test.want != "" || (err == nil) != (test.want != "") {
			t.Errorf("SoleObject(%s) = %s, %v; want %s", test.in, got, err, test.want)
		}
	}
}

func TestMembersAreSlicesOfTheObject(t *testing.T) {
	t.Parallel()
	in := []byte(` { "a" : [ {"b":"}]\"" } , 1e9] ,"\u0063":null} `)
	got := map[string]string{}
	note := func(m Member) {
		got[m.Name] = string(m.Value)
		if !bytes.Contains(in, m.Value) || &in[bytes.Index(in, m.Value)] != &m.Value[0] {
			t.Errorf("the value of %s was copied", m.Name)
		}
	}
	members, err := Split(in)
	for _, m := range members {
		note(m)
	}
	if want := map[string]string{"a": `[ {"b":"}]\"" } , 1e9]`, "c": "null"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	for _, bad := range []string{``, `null`, `[]`, `{`, `{"a"}`, `{"a":1,}`, `{"a":1}x`, `{"a":1 "b":2}`, `{a:1}`} {
		if members, err := Split([]byte(bad)); err == nil {
			t.Errorf("%s was taken for an object: %v", bad, members)
		}
		for _, outer := range []string{bad, `{"args":` + bad + `}`} {
			parts, err := []Member(nil), Members([]byte(outer), "args", func(Member, []Member) error { return nil })
			if err == nil && parts != nil {
				t.Errorf("%s was taken for an object: %v", outer, parts)
			}
		}
	}
	in = append(append([]byte(`{"path":"m:f","args" :`), in...), `,"format":"json"}`...)
	clear(got)
	var outer []string
	err = Members(in, "args", func(m Member, parts []Member) error {
		outer = append(outer, m.Name)
		if m.Name == "args" {
			note(m)
			for _, part := range parts {
				note(part)
			}
		}
		return nil
	})
	if want := map[string]string{"args": `{ "a" : [ {"b":"}]\"" } , 1e9] ,"\u0063":null}`, "a": `[ {"b":"}]\"" } , 1e9]`, "c": "null"}; err != nil || !maps.Equal(got, want) || len(outer) != 3 {
		t.Errorf("got %v of %v, %v; want %v", got, outer, err, want)
	}
	many := `{` + strings.Repeat(`"a":1,`, maxParts) + `"a":1}`
	if _, err := Split([]byte(many)); err == nil {
		t.Error("an object of too many members was split")
	}
}
