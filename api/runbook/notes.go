package runbook

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/api/openapi"
	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/note"
)

func (h handler) noteRoutes() []rest.Route {
	return []rest.Route{
		rest.Stream("GET", "/api/v1/sessions/:id/notes", auth.ReadRecords,
			"List what is noted of a run, by time: by people, and by the server, which marks stops, gaps, steps of the clock, records set aside, outliers and the messages to the driver.",
			h.listNotes, rest.Answers(200, "The notes", rest.JSONOf[notesAnswer](), rest.Plain("text/csv")), rest.NotModified()),
		rest.JSON("POST", "/api/v1/sessions/:id/notes", auth.EditSession,
			"Note something on a moment (from), a stretch (from and to), a place (latitude and longitude) or, without any of it, the whole run.", h.addNote,
			rest.Created("The note"), rest.FailsWith(fault.NotFound, fault.Conflict)),
		rest.JSON("PUT", "/api/v1/sessions/:id/notes/:note", auth.EditSession, "Put another content in the place of one's own note's; administrators may change every note.", h.changeNote,
			rest.FailsWith(fault.Conflict)),
		rest.JSON("DELETE", "/api/v1/sessions/:id/notes/:note", auth.EditSession, "Delete one's own note; administrators may delete every note.", h.deleteNote),
	}
}

// NoteView is a note as REST shows it.
type NoteView struct {
	ID        *int64     `json:"id"`
	Kind      string     `json:"kind" enum:"note,notification,stop,gap,clock_step,set_aside,outlier"`
	From      *time.Time `json:"from"`
	To        *time.Time `json:"to"`
	Latitude  *float64   `json:"latitude"`
	Longitude *float64   `json:"longitude"`
	Severity  *string    `json:"severity"`
	Text      string     `json:"text"`
	Author    *string    `json:"author"`
	Editable  bool       `json:"editable"`
	Revision  *int32     `json:"revision"`
	CreatedAt *time.Time `json:"created_at"`
	ChangedAt *time.Time `json:"changed_at"`
	Passes    []PassView `json:"passes,omitempty" doc:"When the run came by the place, where passes were asked for"`
}

// PassView is when a run came by a place.
type PassView struct {
	At  time.Time `json:"at" doc:"When"`
	Lap *int64    `json:"lap" doc:"In which lap; null in one that is not over"`
}

func view(p auth.Principal, n *note.Note) NoteView {
	v := NoteView{
		ID: n.ID, Kind: n.Kind, From: rest.InUTC(n.From), To: rest.InUTC(n.To), Latitude: n.Latitude, Longitude: n.Longitude, Severity: n.Severity, Text: n.Text,
		Revision: n.Revision, CreatedAt: rest.InUTC(n.CreatedAt), ChangedAt: rest.InUTC(n.ChangedAt),
	}
	if n.ID != nil && auth.Allow(p, auth.EditSession, auth.SessionAge{}).Allowed {
		v.Editable = all(p) || n.Account != nil && *n.Account == p.UserID
	}
	if p.SignedIn() || p.Key != nil { // visitors see what is noted, not by whom
		v.Author = n.Author
	}
	return v
}

// Notes views notes for a principal.
func Notes(p auth.Principal, list []note.Note) []NoteView {
	views := make([]NoteView, len(list))
	for i := range list {
		views[i] = view(p, &list[i])
	}
	return views
}

// all reports whether a principal may change what others noted.
func all(p auth.Principal) bool { return p.EffectiveRole() == auth.Admin }

type listNotesParams struct {
	Kind   []string `query:"kind" doc:"Only these kinds: note, notification, stop, gap, clock_step, set_aside, outlier" example:"note,stop"`
	Format string   `query:"format" enum:"json,csv" doc:"Form of the answer; default json"`
	Passes string   `query:"passes" enum:"true,false" doc:"Say of the newest 20 notes on a place when the run came by within 25 m, by its laps; not in CSV"`
}

type notesAnswer struct {
	Notes []NoteView `json:"notes"`
}

func (h handler) listNotes(r *rest.Request, p *listNotesParams) error {
	for _, kind := range p.Kind {
		if !slices.Contains(note.Kinds, kind) {
			return fault.Field("kind", "%q is none of %s", fault.Clip(kind), strings.Join(note.Kinds, ", "))
		}
	}
	list, err := h.store.RunNotes(r.Request.Context(), r.Session.ID, p.Kind)
	if err != nil {
		return err
	}
	views := Notes(r.Principal, list)
	if p.Passes == "true" && p.Format != "csv" {
		if _, err := h.store.Analysis.Update(r.Request.Context(), r.Session.ID); err != nil {
			return err
		}
		passes, err := h.store.Notes.Passes(r.Request.Context(), r.Session.ID)
		if err != nil {
			return err
		}
		for _, pass := range passes {
			if i := slices.IndexFunc(views, func(v NoteView) bool { return v.ID != nil && *v.ID == pass.Note }); i >= 0 {
				views[i].Passes = append(views[i].Passes, PassView{pass.At.UTC(), pass.Lap})
			}
		}
	}
	if p.Format != "csv" {
		return r.CacheableJSON(notesAnswer{views})
	}
	return r.Cacheable("text/csv; charset=utf-8", table(views), false, false)
}

// table writes notes as CSV. A text that a spreadsheet would take for a formula gets
// an apostrophe before it.
func table(views []NoteView) []byte {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	_ = w.Write([]string{"kind", "from", "to", "latitude", "longitude", "severity", "text", "author"}) // a buffer takes everything
	moment := func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return t.Format(time.RFC3339Nano)
	}
	degrees := func(v *float64) string {
		if v == nil {
			return ""
		}
		return strconv.FormatFloat(*v, 'f', -1, 64)
	}
	words := func(s *string) string {
		if s == nil {
			return ""
		}
		if strings.ContainsRune("=+-@\t\r", rune((*s + " ")[0])) {
			return "'" + *s
		}
		return *s
	}
	for _, v := range views {
		_ = w.Write([]string{v.Kind, moment(v.From), moment(v.To), degrees(v.Latitude), degrees(v.Longitude), words(v.Severity), words(&v.Text), words(v.Author)})
	}
	w.Flush()
	return out.Bytes()
}

// instant is a time in a body, or null.
type instant struct{ *time.Time }

// UnmarshalJSON reads an ISO 8601 time.
func (m *instant) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	said, err := strconv.Unquote(string(text))
	if err == nil {
		var t time.Time
		if t, err = openapi.ParseMoment(said); err == nil {
			m.Time = &t
			return nil
		}
	}
	return fmt.Errorf("no ISO 8601 time: %w", err)
}

// Schema describes it.
func (instant) Schema() openapi.Object {
	return openapi.Object{"type": []string{"string", "null"}, "format": "date-time"}
}

// noteBody is what a person notes.
type noteBody struct {
	Text      string   `json:"text"`
	From      instant  `json:"from,omitzero"`
	To        instant  `json:"to,omitzero"`
	Latitude  *float64 `json:"latitude,omitempty"`
	Longitude *float64 `json:"longitude,omitempty"`
	Seen      *int32   `json:"seen,omitempty"`
}

func (b *noteBody) content() note.Content {
	return note.Content{From: b.From.Time, To: b.To.Time, Latitude: b.Latitude, Longitude: b.Longitude, Text: b.Text}
}

type addNoteParams struct{ Body noteBody }

func (h handler) addNote(r *rest.Request, p *addNoteParams) (NoteView, error) {
	by, err := h.author(r)
	if err != nil {
		return NoteView{}, err
	}
	added, err := h.store.Notes.Add(h.audited(r, "added", 0), r.Param("id"), by, p.Body.content())
	if err != nil {
		return NoteView{}, err
	}
	return view(r.Principal, added), nil
}

type changeNoteParams struct{ Body noteBody }

func (h handler) changeNote(r *rest.Request, p *changeNoteParams) (NoteView, error) {
	id, by, err := h.named(r)
	if err != nil {
		return NoteView{}, err
	}
	changed, err := h.store.Notes.Change(h.audited(r, "changed", id), r.Param("id"), id, by, p.Body.content(), p.Body.Seen)
	if err != nil {
		return NoteView{}, err
	}
	return view(r.Principal, changed), nil
}

func (h handler) deleteNote(r *rest.Request, _ *rest.None) (rest.None, error) {
	id, by, err := h.named(r)
	if err != nil {
		return rest.None{}, err
	}
	return rest.None{}, h.store.Notes.Delete(h.audited(r, "deleted", id), r.Param("id"), id, by)
}

func (h handler) audited(r *rest.Request, what string, id int64) context.Context {
	detail := map[string]any{"session": fault.Clip(r.Param("id")), "what": what}
	if id != 0 {
		detail["note"] = id
	}
	return r.Audited(auth.NoteChanged, detail)
}

// named is the note of the path, and who wants to change it.
func (h handler) named(r *rest.Request) (id int64, by note.Author, err error) {
	id, err = strconv.ParseInt(r.Param("note"), 10, 64)
	if err != nil || id < 1 {
		return 0, by, fault.New(fault.NotFound, "there is no note %q", fault.Clip(r.Param("note")))
	}
	by, err = h.author(r)
	return id, by, err
}

// author is who writes: an account by its name, or what stands before the @ of its
// address.
func (h handler) author(r *rest.Request) (note.Author, error) {
	by := note.Author{Account: r.Principal.UserID, All: all(r.Principal)}
	profile, err := h.auth.CurrentProfile(r.Request.Context(), r.Principal)
	switch {
	case err != nil:
		return by, err
	case profile == nil && r.Principal.Key != nil:
		by.Name = r.Principal.Key.Name
	case profile == nil:
	case profile.Name != "":
		by.Name = profile.Name
	default:
		by.Name, _, _ = strings.Cut(profile.Email, "@")
	}
	return by, nil
}
