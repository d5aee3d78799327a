package aside

import (
	"bytes"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// Surplus are the members that records of an upload have beyond those that a record
// may have. They are set aside; the records are kept.
type Surplus struct {
	Problems []fault.Problem // what the uploader is told: one for each record
	times    []time.Time
	members  []string
}

// Add takes what a record of an upload, at that place and line of it, has too many.
func (s *Surplus) Add(v *record.Values, index, line int) {
	if len(v.Surplus) == 0 {
		return
	}
	s.Problems = append(s.Problems, TooMany(v, index, line))
	s.times, s.members = append(s.times, time.UnixMicro(v.Micros)), append(s.members, string(v.Surplus))
}

// Join takes those of other records.
func (s *Surplus) Join(other *Surplus) {
	s.Problems = append(s.Problems, other.Problems...)
	s.times, s.members = append(s.times, other.times...), append(s.members, other.members...)
}

// TooMany says of a record which members it has too many.
func TooMany(v *record.Values, index, line int) fault.Problem {
	first, more := "", -1
	members := jsontext.NewDecoder(bytes.NewReader(v.Surplus), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for _, err := members.ReadToken(); err == nil && members.PeekKind() == '"'; err = members.SkipValue() {
		name, _ := members.ReadToken()
		if more++; more == 0 {
			first = name.String()
		}
	}
	p := fault.Problem{Index: &index, Line: line, Field: fault.Clip(first), Reason: fmt.Sprintf("is one unknown field too many; at most %d are kept", record.MaxMembers)}
	if more > 0 {
		p.Reason = fmt.Sprintf("and %d more are too many unknown fields; at most %d are kept", more, record.MaxMembers)
	}
	return p
}

// Queue sets the members aside, of records that a batch stores.
func (s *Surplus) Queue(b *pgx.Batch, session, batch int32, source string) {
	if len(s.members) > 0 {
		b.Queue(surplusSQL, session, batch, source, s.times, s.members)
	}
}

const surplusSQL = `
	INSERT INTO members_aside (session, batch, source, time, members)
	SELECT $1, $2, $3, time, members::jsonb
	FROM unnest($4::timestamptz[], $5::text[]) WITH ORDINALITY AS surplus (time, members, place)
	ORDER BY place`
