package merge

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/timeseries/record"
)

// witness is records that clocks are compared by: a table and which of its rows.
type witness struct {
	from string
	args []any
}

// telling returns those of the channels that the records have enough values of,
// and several.
func (w witness) telling(ctx context.Context, tx pgx.Tx, names []string) (told []string, err error) {
	tests := make([]string, len(names))
	for i, name := range names {
		tests[i] = fmt.Sprintf("coalesce(count(%[1]s) >= %[2]d AND max(%[1]s) > min(%[1]s), false)", name, leastSamples)
	}
	var tells []bool
	err = tx.QueryRow(ctx, "SELECT ARRAY["+strings.Join(tests, ", ")+"]::boolean[] FROM "+w.from, w.args...).Scan(&tells)
	for i, t := range tells {
		if t {
			told = append(told, names[i])
		}
	}
	return told, err
}

// read reads the channels. Those that no record lacks share their times.
func (w witness) read(ctx context.Context, tx pgx.Tx, names []string) (log, error) {
	rows, err := tx.Query(ctx, "SELECT time, "+strings.Join(names, ", ")+" FROM "+w.from+" ORDER BY time, batch, ord",
		append([]any{pgx.QueryResultFormats{pgx.BinaryFormatCode}}, w.args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var at []int64
	values := make([][]float64, len(names)) // NaN where a record lacks it
	var row record.Columns
	for rows.Next() {
		row.Reset(rows.RawValues())
		at = append(at, row.Micros())
		for c := range values {
			values[c] = append(values[c], row.Float())
		}
		if row.Err() != nil {
			return nil, row.Err()
		}
	}
	l := make(log, len(names))
	for c := range l {
		l[c] = signal{at, values[c]}.known()
	}
	return l, rows.Err()
}

// known is the signal without what it lacks. Of samples at the same time, the
// first counts.
func (s signal) known() signal {
	whole := true
	for i, v := range s.value {
		whole = whole && !math.IsNaN(v) && (i == 0 || s.at[i-1] < s.at[i])
	}
	if whole {
		return s
	}
	var part signal
	for i, v := range s.value {
		if n := len(part.at); !math.IsNaN(v) && (n == 0 || part.at[n-1] < s.at[i]) {
			part.at, part.value = append(part.at, s.at[i]), append(part.value, v)
		}
	}
	return part
}
