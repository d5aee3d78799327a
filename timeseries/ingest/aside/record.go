package aside

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// Record is a record that is set aside, whole.
type Record struct {
	index     int // place in the upload
	line      int // of the file, or 0
	reason    record.Oddity
	time      *time.Time // nil when the timestamp is none
	Timestamp string     // as received
	Members   string     // the others, as JSON
}

// New is a record of an upload, at that place and line of it.
func New(v *record.Values, index, line int, reason record.Oddity) Record {
	odd := Record{index: index, line: line, reason: reason, Timestamp: string(v.TimeText), Members: string(v.AppendJSON(nil))}
	if reason != record.NoTime {
		at := time.UnixMicro(v.Micros)
		odd.time = &at
		if odd.Timestamp == "" {
			odd.Timestamp = record.FormatTime(at)
		}
	}
	return odd
}

// Why says why a record with that timestamp is set aside.
func Why(timestamp string, reason record.Oddity) string {
	return fmt.Sprintf("%q is %s", fault.Clip(timestamp), map[record.Oddity]string{
		record.NoTime: "no time", record.TooEarly: "before 2000-01-02", record.TooLate: "more than a day ahead of the server's clock",
		record.Stray: "more than 7 days from the run's other records",
	}[reason])
}

// Problem is what the uploader is told of it.
func (o Record) Problem() fault.Problem {
	return fault.Problem{Index: &o.index, Line: o.line, Field: "timestamp", Reason: Why(o.Timestamp, o.reason)}
}

const recordsSQL = `
	INSERT INTO set_aside (session, batch, source, reason, time, timestamp, record)
	SELECT $1, $2, $3, reason, time, timestamp, record::jsonb
	FROM unnest($4::text[], $5::timestamptz[], $6::text[], $7::text[]) WITH ORDINALITY AS odd (reason, time, timestamp, record, place)
	ORDER BY place`

// Queue sets records of a batch aside.
func Queue(b *pgx.Batch, session, batch int32, source string, list []Record) {
	if len(list) == 0 {
		return
	}
	var reasons, timestamps, members []string
	var times []*time.Time
	for _, odd := range list {
		reasons, times = append(reasons, string(odd.reason)), append(times, odd.time)
		timestamps, members = append(timestamps, odd.Timestamp), append(members, odd.Members)
	}
	b.Queue(recordsSQL, session, batch, source, reasons, times, timestamps, members)
}
