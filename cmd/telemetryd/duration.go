package main

import (
	"fmt"
	"reflect"

	"github.com/alecthomas/kong"

	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

// decodeDuration reads a flag's or a variable's duration, none of which may be
// negative. Days come before the
// rest: 30d, 1d12h.
func decodeDuration(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("duration", &text); err != nil {
		return err
	}
	d, err := ingest.ParseShift("duration", text)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no duration, such as 90s, 1h30m or 30d", text)
	}
	target.Set(reflect.ValueOf(d))
	return nil
}
