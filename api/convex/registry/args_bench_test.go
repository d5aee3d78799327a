package registry

import (
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/api/convex/value"
)

// BenchmarkBulkArguments measures what it costs to find the records in the
// body of a large insert: they are passed over once and not decoded.
func BenchmarkBulkArguments(b *testing.B) {
	const record = `{"session_id":"6b1f0c1e-0000-4000-8000-000000000001","session_name":"A \"run\"","timestamp":"2026-03-21T21:41:10.272851+00:00","speed_ms":7.25,"voltage_v":48.125,"current_a":-3.5,"message_id":12345,"outliers":{"flagged_fields":["speed_ms"],"severity":"info"}}`
	body := []byte(`{"path":"telemetry:insertTelemetryBatch","args":{"records":[` + strings.Repeat(record+",", 4999) + record + `]},"format":"json"}`)
	validator := Object(Field("records", Raw()), Optional("token", String()))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		err := value.Members(body, "args", func(m value.Member, parts []value.Member) error {
			if m.Name != "args" {
				return nil
			}
			_, err := decodeArgs(parts, validator)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
