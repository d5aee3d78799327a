package api

import (
	"encoding/json"
	"time"

	"github.com/ecovolt/telemetryd/api/openapi"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

type setAsideParams struct {
	Limit int   `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"Most records to return; a page of large ones ends earlier"`
	After int64 `query:"after" minimum:"0" doc:"Records that were set aside after the one of this id"`
}

// oddRecordView is a record that was set aside.
type oddRecordView struct {
	ID         int64           `json:"id"`
	Reason     string          `json:"reason" enum:"no time,too early,too late,stray"`
	Timestamp  string          `json:"timestamp"`
	Time       *time.Time      `json:"time"`
	ReceivedAt time.Time       `json:"received_at"`
	Source     string          `json:"source"`
	Record     json.RawMessage `json:"record"`
}

type setAsideAnswer struct {
	Total   int64           `json:"total"`
	Records []oddRecordView `json:"records"`
	Next    *int64          `json:"next_after"`
}

func (s *server) listSetAside(r *request, p *setAsideParams) (out setAsideAnswer, err error) {
	list, more, err := s.Store.SetAside(r.Request.Context(), timeseries.SetAsideQuery{SessionID: r.Session.ID, After: p.After, Limit: p.Limit})
	if err != nil {
		return out, err
	}
	if more {
		out.Next = &list[len(list)-1].ID
	}
	out.Total, out.Records = r.Session.SetAside, make([]oddRecordView, len(list))
	for i, o := range list {
		out.Records[i] = oddRecordView(o)
	}
	return out, nil
}

// moment is a time in a body, as query parameters have it.
type moment struct{ time.Time }

// UnmarshalJSON fails with an error that the decoder adds the member's name to.
func (m *moment) UnmarshalJSON(text []byte) (err error) {
	var said string
	if json.Unmarshal(text, &said) == nil {
		if m.Time, err = openapi.ParseMoment(said); err == nil {
			return nil
		}
	}
	return &json.UnmarshalTypeError{Value: "value that is no ISO 8601 time"}
}

// Schema describes it.
func (moment) Schema() openapi.Object { return openapi.Object{"type": "string", "format": "date-time"} }

type repairParams struct {
	Body struct {
		Shift string `json:"shift,omitempty" example:"9650d12h"`
		At    moment `json:"at,omitzero"`
		Drop  bool   `json:"drop,omitempty"`
		All   bool   `json:"all,omitempty"`
		First int64  `json:"first,omitempty"`
		Last  int64  `json:"last,omitempty"`
	}
}

func (s *server) repairSession(r *request, p *repairParams) (done ingest.Repaired, err error) {
	in := p.Body
	repair := ingest.Repair{Session: r.Param("id"), At: in.At.Time, Drop: in.Drop, All: in.All, First: in.First, Last: in.Last}
	if in.Shift != "" {
		if repair.Shift, err = ingest.ParseShift("shift", in.Shift); err != nil {
			return done, err
		}
	}
	return s.Store.Writer.Repair(r.Audited(auth.SessionRepaired, repair.Detail()), repair)
}
