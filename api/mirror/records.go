package mirror

import (
	"github.com/ecovolt/telemetryd/api/openapi"
	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// Records is a page of records, or all of a stream.
type Records struct {
	Records []Record `json:"records"`
	Next    *string  `json:"next_cursor"`
}

// Record is a record: its channels are the members.
type Record struct{}

func (Record) Schema() openapi.Object {
	members := openapi.Object{
		"session_id": openapi.Object{"type": "string", "description": "Id of the run, at most 256 bytes"},
		"timestamp": openapi.Object{
			"type": "string", "description": "When the vehicle measured, ISO 8601; returned as received",
			"examples": []string{"2026-03-21T21:41:10.272851+00:00"},
		},
	}
	for _, c := range channel.All {
		about := c.Meaning
		if c.Unit != "" {
			about += ", " + c.Unit
		}
		member := openapi.Object{"description": about}
		switch c.Type {
		case channel.Float:
			member["type"] = []string{"number", "null"}
		case channel.Int:
			member["type"] = []string{"integer", "null"}
		case channel.Text:
			member["type"] = []string{"string", "null"}
		}
		members[c.Name] = member
	}
	return openapi.Object{
		"type": "object", "description": "One record; a field that has no value is absent or null. Members beside the fields of the contract stand as they came.",
		"properties": members, "required": []string{"timestamp"}, "additionalProperties": true,
	}
}
