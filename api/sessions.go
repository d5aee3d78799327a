package api

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ecovolt/telemetryd/api/mirror"
	"github.com/ecovolt/telemetryd/api/openapi"
	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/api/runbook"
	"github.com/ecovolt/telemetryd/api/shown"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/book"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

func (s *server) sessionRoutes() []route {
	recordBodies := []openapi.Content{rest.JSONOf[mirror.Records](), rest.Plain("application/x-ndjson"), rest.Plain("text/csv")}
	return []route{
		rest.JSON("GET", "/api/v1/sessions", auth.ListSessions, "List runs, newest first unless sorted otherwise. External accounts see those of the last 7 days.", s.listSessions),
		rest.JSON("GET", "/api/v1/live/sessions", auth.ReadPublic, "List the runs that can be followed live now.", s.listLive),
		rest.JSON("GET", "/api/v1/sessions/:id", auth.ReadRecords, "Describe a run.", s.getSession),
		rest.JSON("PATCH", "/api/v1/sessions/:id", auth.EditSession, "Say what people know of a run: its name and its book. Uploads under another name leave the name alone from then on. What is not named stays, an empty text is taken out.",
			s.editSession, rest.FailsWith(fault.NotFound, fault.Conflict)),
		rest.JSON("DELETE", "/api/v1/sessions/:id", auth.DeleteSession, "Delete a run with its records. The run on the road is refused (ACTIVE_SESSION).", s.deleteSession,
			rest.FailsWith(fault.Conflict)),
		rest.Stream("GET", "/api/v1/sessions/:id/records", auth.ReadRecords,
			"Read records, oldest first. With a limit it returns a page and the next one's cursor (in the body, and in the Link and X-Next-Cursor headers); without, a stream to the end.",
			s.getRecords, rest.Answers(http.StatusOK, "Records", recordBodies...), rest.Unhurried),
		rest.Stream("GET", "/api/v1/sessions/:id/latest", auth.ReadRecords, "Return the newest record, by time of measurement.", s.getLatest,
			rest.Returns[mirror.Record]("The record")),
		rest.JSON("GET", "/api/v1/sessions/:id/set-aside", auth.ReadRecords,
			"List records that were set aside since their time cannot be right, in order of arrival.", s.listSetAside),
		rest.JSON("POST", "/api/v1/sessions/:id/repair", auth.RepairSession,
			"Put records back that were set aside, or drop them: exactly one of shift, at and drop. first and last name them by id; with all, what is stored is shifted, too.", s.repairSession,
			rest.FailsWith(fault.NotFound), rest.Unhurried),
	}
}

// sessionView is a session as REST shows it.
type sessionView struct {
	ID        string     `json:"session_id"`
	Name      *string    `json:"session_name"`
	Start     *string    `json:"start_time"`
	End       *string    `json:"end_time"`
	DurationS float64    `json:"duration_s"`
	Records   int64      `json:"record_count"`
	SetAside  int64      `json:"set_aside"`
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

	Book book.Entry `json:"book"`
}

func viewSession(s *timeseries.Session) sessionView {
	return sessionView{
		ID: s.ID, Name: s.Name, Start: rest.NullIfZero(s.StartText), End: rest.NullIfZero(s.EndText),
		DurationS: math.Round(s.End.Sub(s.Start).Seconds()*1000) / 1000,
		Records:   s.Records, SetAside: s.SetAside, Watermark: s.Batch, Version: s.Version(),
		Live:    followable(s),
		EndedAt: s.EndedAt, UpdatedAt: s.UpdatedAt,
		Distance: s.Totals.Distance, Energy: s.Totals.Energy, Efficiency: s.Totals.Efficiency,
		AvgSpeed: s.Figures.AvgSpeed, Quality: s.Figures.Quality, Book: s.Book,
	}
}

// followable reports whether a run may go on before somebody's eyes: as the rule
// of who may read it has it, but not for a day after a car whose clock is that far
// ahead fell silent.
func followable(s *timeseries.Session) bool {
	return s.ReadAt.Sub(s.End) <= schema.LiveWindow && s.ReadAt.Sub(s.UpdatedAt) <= schema.LiveWindow
}

const maxSessions = 1000

type listSessionsParams struct {
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"Most runs to return"`
	Cursor string `query:"cursor" doc:"next_cursor of the page before"`
	Sort   string `query:"sort" doc:"start, name, duration_s, record_count, distance_km, energy_wh, efficiency_km_kwh, avg_speed_kmh, driver, car, setup, tyres or weather; with a minus before it the other way round" example:"-efficiency_km_kwh"`
	runbook.Filter
}

type sessionsAnswer struct {
	Sessions []sessionView `json:"sessions"`
	Next     *string       `json:"next_cursor"`
}

func (s *server) listSessions(r *request, p *listSessionsParams) (out sessionsAnswer, err error) {
	filter, _, err := p.Sessions(r)
	if err != nil {
		return out, err
	}
	filter.Limit, filter.All, filter.Sort = p.Limit+1, true, p.Sort
	if p.Cursor != "" {
		if filter.BeforeStart, filter.BeforeID, filter.Offset, err = parseListCursor(p.Cursor, p.Sort != ""); err != nil {
			return out, err
		}
	}
	list, err := s.Store.Sessions(r.Request.Context(), filter)
	if err != nil {
		return out, err
	}
	if len(list) > p.Limit {
		list = list[:p.Limit]
		last := list[p.Limit-1]
		next := listCursor(last.Listed(), last.ID)
		if p.Sort != "" { // by what may change meanwhile
			next = offsetCursor(filter.Offset + p.Limit)
		}
		out.Next = &next
		r.Link(next)
	}
	out.Sessions = viewSessions(list)
	return out, nil
}

type liveSessionsAnswer struct {
	Sessions []sessionView `json:"sessions"`
}

// listLive returns the live sessions, whose records anybody may read.
func (s *server) listLive(r *request, _ *none) (liveSessionsAnswer, error) {
	list, err := s.Store.Sessions(r.Request.Context(), timeseries.SessionFilter{Within: schema.LiveWindow, Limit: maxSessions})
	if err != nil {
		return liveSessionsAnswer{}, err
	}
	return liveSessionsAnswer{viewSessions(list)}, nil
}

func viewSessions(list []timeseries.Session) []sessionView {
	views := make([]sessionView, len(list))
	for i := range list {
		views[i] = viewSession(&list[i])
	}
	return views
}

func listCursor(start time.Time, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(start.UnixMicro(), 10) + " " + id))
}

// offsetCursor is that of a list in another order than by start.
func offsetCursor(offset int) string {
	return base64.RawURLEncoding.EncodeToString([]byte("@" + strconv.Itoa(offset)))
}

func parseListCursor(text string, sorted bool) (start time.Time, id string, offset int, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if place, ok := strings.CutPrefix(string(raw), "@"); err == nil && ok == sorted {
		if sorted {
			if offset, err = strconv.Atoi(place); err == nil && offset > 0 && offset < 1e9 {
				return start, "", offset, nil
			}
		} else {
			micros, id, _ := strings.Cut(string(raw), " ")
			// Only times that the database can compare with.
			if n, err := strconv.ParseInt(micros, 10, 64); err == nil && n > -1e16 && n < 1e16 && utf8.ValidString(id) && !strings.Contains(id, "\x00") {
				return time.UnixMicro(n), id, 0, nil
			}
		}
	}
	return time.Time{}, "", 0, fault.Field("cursor", "is not a cursor that this server gave out for such a list")
}

func (s *server) getSession(r *request, _ *none) (sessionView, error) {
	session, err := s.Store.SessionWithFigures(r.Request.Context(), r.Session.ID)
	if err != nil {
		return sessionView{}, err
	}
	if session == nil { // deleted a moment ago
		return sessionView{}, fault.NoSession(r.Session.ID)
	}
	return viewSession(session), nil
}

type editSessionParams struct {
	Body struct {
		Name *string     `json:"session_name,omitempty"`
		Book book.Change `json:"book,omitzero"`
		Seen *int32      `json:"seen,omitempty"`
	}
}

func (s *server) editSession(r *request, p *editSessionParams) (sessionView, error) {
	change := timeseries.SessionChange{Name: p.Body.Name, Book: p.Body.Book, Seen: p.Body.Seen}
	ctx := r.Audited(auth.SessionEdited, map[string]any{"session": fault.Clip(r.Param("id")), "changed": change.Names()})
	session, err := s.Store.EditSession(ctx, r.Param("id"), change)
	if err != nil {
		return sessionView{}, err
	}
	return viewSession(session), nil
}

type deletedAnswer struct {
	Deleted int64 `json:"deleted"`
}

func (s *server) deleteSession(r *request, _ *none) (deletedAnswer, error) {
	records, err := s.Store.DeleteEndedSession(r.Request.Context(), r.Param("id"))
	return deletedAnswer{records}, err
}

type fieldsParams struct {
	Fields []string `query:"fields" doc:"Only these channels; default all" example:"speed_ms,power_w"`
	shown.Params
}

func (s *server) getLatest(r *request, p *fieldsParams) error {
	record, n, err := s.Store.AllRecords(r.Request.Context(), timeseries.RecordQuery{
		SessionID: r.Session.ID, Newest: true, Limit: 1, Fields: p.Fields, Units: p.System(r.Principal),
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

type recordsParams struct {
	fieldsParams
	From     time.Time `query:"from" doc:"Records from this time on, ISO 8601 or milliseconds since 1970" example:"2026-03-21T21:41:10Z"`
	To       time.Time `query:"to" doc:"Records before this time"`
	Limit    int       `query:"limit" minimum:"1" maximum:"2147483646" doc:"Most records to return, a page of large ones ends earlier; absent is all"`
	Cursor   string    `query:"cursor" doc:"next_cursor of the page before"`
	Format   string    `query:"format" enum:"json,ndjson,csv" doc:"Form of the answer; default by Accept"`
	SetAside string    `query:"set_aside" doc:"Anything: read the records that were set aside instead, with the timestamps received"`
	Download string    `query:"download" doc:"Anything: offer the answer as a file"`
}

// getRecords streams records. With a limit it returns a page and the cursor of
// the next one; without, everything from the cursor to the end.
func (s *server) getRecords(r *request, p *recordsParams) error {
	q := timeseries.RecordQuery{SessionID: r.Session.ID, Fields: p.Fields, Limit: p.Limit, From: p.From, To: p.To, SetAside: p.SetAside != "", Units: p.System(r.Principal)}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		return fault.Field("to", "must be later than from")
	}
	if p.Cursor != "" {
		after, err := record.ParseCursor(p.Cursor)
		if err != nil {
			return fault.Field("cursor", "%v", err)
		}
		q.After = &after
	}
	format := p.Format
	if format == "" {
		format = acceptedFormat(r.GetHeader("Accept"))
	}
	page := q.Limit
	if page > 0 {
		q.Limit++ // one more tells whether there is another page
	}
	var stream *timeseries.RecordStream
	err := s.read(r, func(store *timeseries.Store) (err error) {
		stream, err = store.Records(r.Request.Context(), q)
		return err
	})
	if err != nil {
		return err
	}
	return s.writeRecords(r, stream, format, page, p.Download != "")
}

var recordFormats = map[string]string{
	"json": "application/json", "ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8",
}

func acceptedFormat(accept string) string {
	switch {
	case strings.Contains(accept, "ndjson"), strings.Contains(accept, "jsonl"):
		return "ndjson"
	case strings.Contains(accept, "text/csv"):
		return "csv"
	}
	return "json"
}

// flushAt is how much of an answer is collected before it is sent.
const flushAt = 64 << 10

func (s *server) writeRecords(r *request, stream *timeseries.RecordStream, format string, page int, download bool) error {
	if download {
		r.Header("Content-Disposition", fmt.Sprintf(`attachment; filename="%s.%s"`, safeName(r.Session.ID), format))
	}
	r.Header("Content-Type", recordFormats[format])
	r.Header("Cache-Control", "no-store")
	// A page's cursor goes into a header, so that all formats have it: a page
	// is small enough to be held back until the cursor is known.
	hold := page > 0 && page <= 20_000
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
		if more = page > 0 && n == page || hold && len(out) >= s.Store.PageBytes; more {
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
			if _, err := r.Writer.Write(out); err != nil {
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
			r.Link(next)
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
	_, err := r.Writer.Write(out)
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
