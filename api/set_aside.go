package api

import (
	"encoding/json"
	"time"

	"github.com/ecovolt/telemetryd/timeseries"
)

type setAsideParams struct {
	Limit int   `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"Most records to return"`
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
	list, err := s.Store.SetAside(r.Request.Context(), timeseries.SetAsideQuery{SessionID: r.Session.ID, After: p.After, Limit: p.Limit + 1})
	if err != nil {
		return out, err
	}
	if len(list) > p.Limit {
		list = list[:p.Limit]
		out.Next = &list[p.Limit-1].ID
	}
	out.Total, out.Records = r.Session.SetAside, make([]oddRecordView, len(list))
	for i, o := range list {
		out.Records[i] = oddRecordView(o)
	}
	return out, nil
}
