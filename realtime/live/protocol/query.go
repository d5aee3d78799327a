package protocol

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// ParseQuery reads the subscriptions that the URL asks for: session=, which
// may repeat, and fields=, since=, max_rate=, mode=, snapshot_seconds= and
// snapshot_records=, which hold for all of them. A since= may join several
// cursors; each goes to the session it belongs to.
func ParseQuery(values url.Values) ([]Request, error) {
	var requests []Request
	for _, session := range values["session"] {
		m := ClientMessage{Type: TypeSubscribe, Session: session, Mode: values.Get("mode")}
		for _, list := range values["fields"] {
			for name := range strings.SplitSeq(list, ",") {
				if name = strings.TrimSpace(name); name != "" {
					m.Fields = append(m.Fields, name)
				}
			}
		}
		if since := values.Get("since"); !strings.Contains(since, CursorSeparator) {
			m.Since = since
		}
		var err error
		if m.MaxRate, err = number(values, "max_rate"); err != nil {
			return nil, err
		}
		seconds, err := number(values, "snapshot_seconds")
		if err != nil {
			return nil, err
		}
		records, err := number(values, "snapshot_records")
		if err != nil {
			return nil, err
		}
		if values.Has("snapshot_seconds") || values.Has("snapshot_records") {
			if records != float64(int(records)) {
				return nil, fault.Field("snapshot_records", "is not a whole number")
			}
			m.Snapshot = &SnapshotRequest{Seconds: seconds, Records: int(records)}
		}
		r, err := Request{ClientMessage: m}.check()
		if err != nil {
			return nil, fault.New(fault.Invalid, "%v", err)
		}
		requests = append(requests, r)
	}
	if len(requests) > MaxSubscriptions {
		return nil, fault.Field("session", "more than %d", MaxSubscriptions)
	}
	return requests, nil
}

func number(values url.Values, name string) (float64, error) {
	text := values.Get(name)
	if text == "" {
		return 0, nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v != v || v > 1e9 || v < -1e9 {
		return 0, fault.Field(name, "is not a number")
	}
	return v, nil
}
