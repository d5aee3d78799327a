package registry

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/api/convex/value"
	"github.com/ecovolt/telemetryd/internal/fault"
)

func TestDecodeArgs(t *testing.T) {
	t.Parallel()
	validator := Object(
		Field("sessionId", String()),
		Optional("limit", Number()),
		Optional("role", Literals("guest", "admin")),
		Optional("cursor", Nullable(String())),
		Optional("items", Array(Object(Field("x", Number()), Optional("y", Bool())))),
		Optional("bulk", Raw()),
	)
	for _, test := range []struct {
		in   string
		want Args
		fail string // part of the message
	}{
		{in: `{"sessionId":"s"}`, want: Args{"sessionId": "s"}},
		{in: `{"sessionId":"s","limit":null}`, want: Args{"sessionId": "s"}},
		{in: `{"sessionId":"s","cursor":null}`, want: Args{"sessionId": "s", "cursor": nil}},
		{in: `{"sessionId":"s","limit":2.0}`, want: Args{"sessionId": "s", "limit": 2.0}},
		{in: `{"sessionId":"s","items":[{"x":1,"y":null}]}`, want: Args{"sessionId": "s", "items": []any{map[string]any{"x": 1.0}}}},
		{in: `{"\u0073essionId":"a","sessionId":"b"}`, want: Args{"sessionId": "b"}},
		{in: `{}`, fail: "missing the required field `sessionId`"},
		{in: `{"sessionId":null}`, fail: "Path: .sessionId"},
		{in: `{"sessionId":"s","more":1}`, fail: "extra field `more`"},
		{in: `{"sessionId":1}`, fail: "Path: .sessionId. Value: a number. Validator: v.string()"},
		{in: `{"sessionId":"s","limit":"x"}`, fail: ".limit"},
		{in: `{"sessionId":"s","limit":{"$integer":"KgAAAAAAAAA="}}`, fail: "a bigint"},
		{in: `{"sessionId":"s","role":"root"}`, fail: ".role"},
		{in: `{"sessionId":"s","items":[{"x":1},{"x":"1"}]}`, fail: ".items[1].x"},
		{in: `{"sessionId":"s","items":[{"x":1,"z":2}]}`, fail: "extra field `z`"},
		{in: `{"sessionId":"s","items":[{}]}`, fail: "missing the required field `x`"},
		{in: `[]`, fail: "missing the required field `sessionId`"},
		{in: `[1]`, fail: "must be an object"},
		{in: `{"sessionId":"s"`, fail: "ends too early"},
		{in: `{"sessionId":nope}`, fail: ".sessionId"},
	} {
		r := New(nil)
		f := function("m:f", Query)
		f.Args = validator
		if err := r.Add(f); err != nil {
			t.Fatal(err)
		}
		in, err := r.Prepare(Request{Path: "m:f", Args: []byte(test.in)}, Query, Caller{})
		var got Args
		if err == nil {
			got = in.Args
		}
		if test.fail == "" {
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("decodeArgs(%s) = %v, %v; want %v", test.in, got, err, test.want)
			}
			continue
		}
		if !fault.Is(err, fault.Invalid) || !strings.HasPrefix(err.Error(), "ArgumentValidationError: ") || !strings.Contains(err.Error(), test.fail) {
			t.Errorf("decodeArgs(%s): error %v, want an ArgumentValidationError with %q", test.in, err, test.fail)
		}
	}
}

func TestRawArgumentIsASliceOfTheRequest(t *testing.T) {
	t.Parallel()
	in := []byte(` { "records" : [ {"a":"}]\"" } , 1e9] ,"token":"t"} `)
	members, err := value.Split(in)
	if err != nil {
		t.Fatal(err)
	}
	args, err := decodeArgs(members, Object(Field("records", Raw()), Optional("token", String())))
	if err != nil {
		t.Fatal(err)
	}
	raw := args.Raw("records")
	if string(raw) != `[ {"a":"}]\"" } , 1e9]` || args.String("token") != "t" {
		t.Errorf("records = %s, token = %s", raw, args.String("token"))
	}
	if &raw[0] != &in[15] {
		t.Error("the raw argument was copied")
	}
}

func TestClamp(t *testing.T) {
	t.Parallel()
	args := Args{"low": -5.0, "high": 1e300, "fraction": 150.9, "text": "x"}
	for name, want := range map[string]int{"low": 100, "high": 1500, "fraction": 150, "text": 700, "absent": 700} {
		if got := args.Clamp(name, 100, 1500, 700); got != want {
			t.Errorf("Clamp(%s) = %d, want %d", name, got, want)
		}
	}
}

func TestRegistryRefuses(t *testing.T) {
	t.Parallel()
	r := New(nil)
	good := function("m:f", Query)
	if err := r.Add(good); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]Function{
		"taken":         good,
		"not canonical": function("m.js:g", Query),
		"bad name":      function("m:1", Query),
		"no kind":       function("m:h", 0),
		"no run":        {Name: "m:i", Kind: Query},
	} {
		if err := r.Add(f); err == nil {
			t.Errorf("%s: added", name)
		}
	}
	if r.Lookup("m:f") == nil || r.Lookup("m:g") != nil || len(r.All()) != 1 {
		t.Error("the registry holds something else than what was added")
	}
}

func function(name string, kind Kind) Function {
	return Function{Name: name, Kind: kind, Run: func(context.Context, *Call) (any, error) { return nil, nil }}
}
