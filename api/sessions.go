package api

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

func (s *server) sessionRoutes() []Route {
	return []Route{
		{http.MethodGet, "/api/v1/sessions", auth.ListSessions, s.listSessions},
		{http.MethodGet, "/api/v1/live/sessions", auth.ReadPublic, s.listLive},
		{http.MethodGet, "/api/v1/sessions/:id", auth.ReadRecords, s.getSession},
		{http.MethodDelete, "/api/v1/sessions/:id", auth.DeleteSession, s.deleteSession},
		{http.MethodGet, "/api/v1/sessions/:id/records", auth.ReadRecords, s.getRecords},
		{http.MethodGet, "/api/v1/sessions/:id/latest", auth.ReadRecords, s.getLatest},
	}
}

// sessionView is a session as REST shows it.
type sessionView struct {
	ID        string     `json:"session_id"`
	Name      *string    `json:"session_name"`
	Start     string     `json:"start_time"`
	End       string     `json:"end_time"`
	DurationS float64    `json:"duration_s"`
	Records   int64      `json:"record_count"`
	Watermark int32      `json:"watermark"`
	Version   string     `json:"version"`
	Live      bool       `json:"live"`
	EndedAt   *time.Time `json:"ended_at"`
	UpdatedAt time.Time  `json:"updated_at"`

	Distance   *float64 `json:"distance_km"`
	Energy     *float64 `json:"energy_wh"`
	Efficiency *float64 `json:"efficiency_km_kwh"`
	AvgSpeed   *float64 `json:"avg_speed_kmh"`
	Quality    *float64 `json:"quality_score"`
}

func viewSession(s *timeseries.Session) sessionView {
	return sessionView{
		ID: s.ID, Name: s.Name, Start: s.StartText, End: s.EndText,
		DurationS: math.Round(s.End.Sub(s.Start).Seconds()*1000) / 1000,
		Records:   s.Records, Watermark: s.Batch, Version: s.Version(),
		Live:    s.ReadAt.Sub(s.End) <= auth.LiveWindow,
		EndedAt: s.EndedAt, UpdatedAt: s.UpdatedAt,
		Distance: s.Figures.Distance, Energy: s.Figures.Energy, Efficiency: s.Figures.Efficiency,
		AvgSpeed: s.Figures.AvgSpeed, Quality: s.Figures.Quality,
	}
}

const (
	defaultSessions = 100
	maxSessions     = 1000
)

func (s *server) listSessions(r *Request) error {
	limit, err := intParam(r, "limit", 1, maxSessions, defaultSessions)
	if err != nil {
		return err
	}
	filter := timeseries.SessionFilter{Limit: limit + 1}
	if r.Decision.Window > 0 {
		filter.StartedAfter = time.Now().Add(-r.Decision.Window)
	}
	if cursor := r.Query("cursor"); cursor != "" {
		if filter.BeforeStart, filter.BeforeID, err = parseListCursor(cursor); err != nil {
			return err
		}
	}
	list, err := s.Store.Sessions(r.Request.Context(), filter)
	if err != nil {
		return err
	}
	next := ""
	if len(list) > limit {
		list = list[:limit]
		last := list[limit-1]
		next = listCursor(last.Start, last.ID)
		link(r, next)
	}
	views := make([]sessionView, len(list))
	for i := range list {
		views[i] = viewSession(&list[i])
	}
	r.JSON(http.StatusOK, map[string]any{"sessions": views, "next_cursor": nullIfEmpty(next)})
	return nil
}

// listLive gives the live sessions, whose records anybody may read.
func (s *server) listLive(r *Request) error {
	list, err := s.Store.Sessions(r.Request.Context(), timeseries.SessionFilter{Within: auth.LiveWindow, Limit: maxSessions})
	if err != nil {
		return err
	}
	views := make([]sessionView, len(list))
	for i := range list {
		views[i] = viewSession(&list[i])
	}
	return answer(r, http.StatusOK, map[string]any{"sessions": views})
}

func listCursor(start time.Time, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(start.UnixMicro(), 10) + " " + id))
}

func parseListCursor(text string) (time.Time, string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		micros, id, _ := strings.Cut(string(raw), " ")
		// Only times that the database can compare with.
		if n, err := strconv.ParseInt(micros, 10, 64); err == nil && n > -1e16 && n < 1e16 && utf8.ValidString(id) && !strings.Contains(id, "\x00") {
			return time.UnixMicro(n), id, nil
		}
	}
	return time.Time{}, "", fault.Field("cursor", "is not a cursor that this server gave out")
}

// link names the next page in a Link header (RFC 8288).
func link(r *Request, cursor string) {
	query := r.Request.URL.Query()
	query.Set("cursor", cursor)
	r.Header("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, r.Request.URL.EscapedPath(), query.Encode()))
}

func nullIfEmpty(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func (s *server) getSession(r *Request) error {
	r.JSON(http.StatusOK, viewSession(r.Session))
	return nil
}

func (s *server) deleteSession(r *Request) error {
	records, err := s.Store.DeleteEndedSession(r.Request.Context(), r.Param("id"))
	if err != nil {
		return err
	}
	r.JSON(http.StatusOK, map[string]any{"deleted": records})
	return nil
}

func (s *server) getLatest(r *Request) error {
	record, n, err := s.Store.AllRecords(r.Request.Context(), timeseries.RecordQuery{
		SessionID: r.Session.ID, Newest: true, Limit: 1, Fields: fieldsParam(r),
	}, 1)
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.New(fault.NotFound, "the session has no records")
	}
	r.Data(http.StatusOK, "application/json", record[1:len(record)-1])
	return nil
}

// getRecords streams records. With a limit it gives a page and the cursor of
// the next one; without, everything from the cursor to the end.
func (s *server) getRecords(r *Request) error {
	q := timeseries.RecordQuery{SessionID: r.Session.ID, Fields: fieldsParam(r)}
	var err error
	if q.Limit, err = intParam(r, "limit", 1, math.MaxInt32-1, 0); err != nil {
		return err
	}
	if q.From, err = timeParam(r, "from"); err != nil {
		return err
	}
	if q.To, err = timeParam(r, "to"); err != nil {
		return err
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		return fault.Field("to", "must be later than from")
	}
	if cursor := r.Query("cursor"); cursor != "" {
		after, err := record.ParseCursor(cursor)
		if err != nil {
			return fault.Field("cursor", "%v", err)
		}
		q.After = &after
	}
	format, err := recordsFormat(r)
	if err != nil {
		return err
	}
	page := q.Limit
	if page > 0 {
		q.Limit++ // one more tells whether there is another page
	}
	var stream *timeseries.RecordStream
	err = s.read(r, func(store *timeseries.Store) (err error) {
		stream, err = store.Records(r.Request.Context(), q)
		return err
	})
	if err != nil {
		return err
	}
	defer stream.Close()
	return writeRecords(r, stream, format, page)
}

var recordFormats = map[string]string{
	"json": "application/json", "ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8",
}

func recordsFormat(r *Request) (string, error) {
	if format := r.Query("format"); format != "" {
		if recordFormats[format] == "" {
			return "", fault.Field("format", "must be json, ndjson or csv")
		}
		return format, nil
	}
	accept := r.GetHeader("Accept")
	switch {
	case strings.Contains(accept, "ndjson"), strings.Contains(accept, "jsonl"):
		return "ndjson", nil
	case strings.Contains(accept, "text/csv"):
		return "csv", nil
	}
	return "json", nil
}

// flushAt is how much of an answer is collected before it is sent.
const flushAt = 64 << 10

func writeRecords(r *Request, stream *timeseries.RecordStream, format string, page int) error {
	if r.Query("download") != "" {
		r.Header("Content-Disposition", fmt.Sprintf(`attachment; filename="%s.%s"`, safeName(r.Session.ID), format))
	}
	r.Header("Content-Type", recordFormats[format])
	r.Header("Cache-Control", "no-store")
	// A page's cursor goes into a header, so that all formats have it: a page
	// is small enough to be held back until the cursor is known.
	hold := page > 0 && page <= 20_000
	flow := httpx.NewFlow(r.Writer)
	out := make([]byte, 0, flushAt+decode.MaxRecordBytes/8)
	switch format {
	case "json":
		out = append(out, `{"records":[`...)
	case "csv":
		out = append(out, stream.CSVHeader()...)
	}
	n := 0
	var last record.Cursor
	more := false
	for stream.Next() {
		if page > 0 && n == page {
			more = true
			break
		}
		record := stream.Record()
		switch format {
		case "csv":
			out = record.AppendCSV(out)
		case "ndjson":
			out = append(record.AppendJSON(out), '\n')
		default:
			if n > 0 {
				out = append(out, ',')
			}
			out = record.AppendJSON(out)
		}
		last = record.Cursor()
		n++
		if len(out) >= flushAt && !hold {
			if _, err := flow.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	if err := stream.Err(); err != nil {
		return err
	}
	next := ""
	if more {
		next = last.String()
		if hold {
			r.Header("X-Next-Cursor", next)
			link(r, next)
		}
	}
	if format == "json" {
		out = append(out, `],"next_cursor":`...)
		if next == "" {
			out = append(out, "null"...)
		} else {
			out = append(append(append(out, '"'), next...), '"')
		}
		out = append(out, '}', '\n')
	}
	_, err := flow.Write(out)
	return err
}

func safeName(id string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' {
			return c
		}
		return '_'
	}, id)
}

func fieldsParam(r *Request) []string {
	var fields []string
	for _, list := range r.QueryArray("fields") {
		for field := range strings.SplitSeq(list, ",") {
			if field = strings.TrimSpace(field); field != "" && !slices.Contains(fields, field) {
				fields = append(fields, field)
			}
		}
	}
	return fields
}

func intParam(r *Request, name string, low, high, otherwise int) (int, error) {
	text := r.Query(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fault.Field(name, "must be a whole number from %d to %d", low, high)
	}
	return n, nil
}

// timeParam reads an ISO 8601 time, or milliseconds since the Unix epoch. A
// plus sign that arrived as a space is taken for what it was meant to be.
func timeParam(r *Request, name string) (time.Time, error) {
	text := r.Query(name)
	if text == "" {
		return time.Time{}, nil
	}
	if ms, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(ms) < 1e14 {
		return time.UnixMicro(int64(ms * 1000)).UTC(), nil
	}
	if i := strings.LastIndexByte(text, ' '); i > len("2006-01-02T15") {
		text = text[:i] + "+" + text[i+1:]
	}
	t, err := record.ParseTime(text)
	if err != nil {
		return time.Time{}, fault.Field(name, "%v, nor milliseconds since 1970", err)
	}
	return t, nil
}
