package decode

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/record"
)

// benchBody is records of the real export's shape, as NDJSON or CSV.
func benchBody(n int, csv bool) []byte {
	var b bytes.Buffer
	if csv {
		b.WriteString("session_id,session_name,timestamp,speed_ms,voltage_v,current_a,power_w,energy_j,distance_m,latitude,longitude,altitude,gyro_x,gyro_y,gyro_z,accel_x,accel_y,accel_z,total_acceleration,message_id,uptime_seconds,throttle_pct,brake_pct,throttle,brake,data_source\n")
	}
	for i := range n {
		at := time.UnixMicro(1774129270272851 + int64(i)*20000).UTC().Format("2006-01-02T15:04:05.000000+00:00")
		if csv {
			fmt.Fprintf(&b, "s-1,M 233,%s,14.43,46.04,9.87,454.38,90.88,2.89,40.71276,-74.004968,99.3,0.093,-0.196,0.698,71.951,-0.449,9.673,72.599,%d,0.2,14.6,67.4,0.146,0.674,MOCK_NORMAL\n", at, i)
		} else {
			fmt.Fprintf(&b, `{"session_id":"s-1","session_name":"M 233","timestamp":"%s","speed_ms":14.43,"voltage_v":46.04,"current_a":9.87,"power_w":454.38,"energy_j":90.88,"distance_m":2.89,"latitude":40.71276,"longitude":-74.004968,"altitude_m":99.3,"gyro_x":0.093,"gyro_y":-0.196,"gyro_z":0.698,"accel_x":71.951,"accel_y":-0.449,"accel_z":9.673,"total_acceleration":72.599,"message_id":%d,"uptime_seconds":0.2,"throttle_pct":14.6,"brake_pct":67.4,"throttle":0.146,"brake":0.674,"data_source":"MOCK_NORMAL"}`+"\n", at, i)
		}
	}
	return b.Bytes()
}

// The bridge posts some 200 records at a time, an import reads 5,000.
func BenchmarkDecode(b *testing.B) {
	for _, format := range []struct {
		name   string
		format Format
	}{{"ndjson", FormatJSON}, {"csv", FormatCSV}} {
		for _, n := range []int{200, 1000, 5000} {
			b.Run(fmt.Sprint(format.name, "/", n), func(b *testing.B) {
				body := benchBody(n, format.format == FormatCSV)
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					batch := NewBatch()
					err := New(bytes.NewReader(body), Options{Format: format.format, Now: time.Unix(1800000000, 0)}).Next(batch, 10000)
					if err != io.EOF || batch.Len() != n {
						b.Fatal(err, batch.Len(), batch.Problems())
					}
					batch.Release()
				}
			})
		}
	}
}

func BenchmarkEncodeCopy(b *testing.B) {
	batch := NewBatch()
	defer batch.Release()
	err := New(bytes.NewReader(benchBody(5000, false)), Options{Now: time.Unix(1800000000, 0)}).Next(batch, 10000)
	if err != io.EOF {
		b.Fatal(err)
	}
	var layout record.Layout
	for i := range batch.Len() {
		v := batch.Record(i)
		layout.Add(&v)
	}
	rows := make([]byte, 0, 4<<20)
	b.ReportAllocs()
	for b.Loop() {
		rows = rows[:0]
		digest := record.NewDigest()
		for i := range batch.Len() {
			v := batch.Record(i)
			rows = layout.AppendCopy(rows, &v, uint32(i))
			digest.Add(&v)
		}
	}
}

// BenchmarkWide reads and sums up a file of 300 channels, most of them unknown, at one
// rate and at several, so that most cells are empty.
func BenchmarkWide(b *testing.B) {
	for _, every := range []int{1, 3} {
		var file bytes.Buffer
		file.WriteString("session_id,timestamp")
		for i := range 300 {
			fmt.Fprintf(&file, ",can_%03d", i)
		}
		values := 0
		for i := range 1000 {
			file.WriteString("\ns-1," + time.UnixMicro(1774129270272851+int64(i)*20000).UTC().Format(time.RFC3339Nano))
			for k := range 300 {
				if file.WriteByte(','); (31*i+17*k)%every == 0 {
					fmt.Fprintf(&file, "%.2f", 10+float64((i*7+k*13)%1000)/100)
					values++
				}
			}
		}
		b.Run(fmt.Sprint("every ", every), func(b *testing.B) {
			batch := NewBatch()
			defer batch.Release()
			for b.Loop() {
				d, digest := New(bytes.NewReader(file.Bytes()), Options{Format: FormatCSV, Now: time.Unix(1800000000, 0)}), record.NewDigest()
				for err := error(nil); err != io.EOF; batch.Reset() {
					if err = d.Next(batch, 10000); err != nil && err != io.EOF || batch.Rejected() > 0 {
						b.Fatal(err, batch.Problems())
					}
					for i := range batch.Len() {
						v := batch.Record(i)
						digest.Add(&v)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(values), "ns/value")
		})
	}
}
