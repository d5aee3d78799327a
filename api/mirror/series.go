// Package mirror describes answers that are encoded by hand, for speed: its types
// look like them, and only the description of the API uses them. A test of package
// api holds one against the other.
package mirror

import "github.com/ecovolt/telemetryd/api/openapi"

// numbers is a column of a chart.
type numbers []*float64

// interval is a stretch of an axis.
type interval [2]float64

// Metric is the columns of one metric; all are as long as t.
type Metric struct {
	Unit   string     `json:"unit" doc:"Unit of the values"`
	Step   float64    `json:"step" doc:"Usual time between the run's records that have the metric, s; 0 when unknown"`
	After  float64    `json:"gap_after" doc:"A longer silence of the metric is a gap, s"`
	Gaps   []interval `json:"gaps" doc:"Begin and end of each gap on the axis: the last sample before it and the first one after, where a rollup serves the window up to a column's width. A null elsewhere is no gap"`
	Min    numbers    `json:"min" doc:"Lowest value of the bucket; null where no record has the metric"`
	Max    numbers    `json:"max" doc:"Highest value"`
	Avg    numbers    `json:"avg" doc:"Mean of the values"`
	Count  []int      `json:"count" doc:"Records that have the metric; 0 also where a value was carried on"`
	First  numbers    `json:"first,omitempty" doc:"mode=m4: first value of the pixel column"`
	FirstT numbers    `json:"first_t,omitempty" doc:"Its place on the axis"`
	Last   numbers    `json:"last,omitempty" doc:"mode=m4: last value of the pixel column"`
	LastT  numbers    `json:"last_t,omitempty" doc:"Its place on the axis"`
}

// State is the column of a text state, such as driver_mode.
type State struct {
	Last []*string `json:"last" doc:"Newest value in the bucket, cut at 200 bytes; null where no record has one"`
}

// columns is either.
type columns struct{}

func (columns) Schema() openapi.Object {
	return openapi.Object{"anyOf": []openapi.Object{{"$ref": "#/components/schemas/Metric"}, {"$ref": "#/components/schemas/State"}}}
}

// Series describes what series.Answer.JSON writes.
type Series struct {
	Align    string          `json:"align" enum:"time,elapsed,distance" doc:"What the axis t is"`
	Mode     string          `json:"mode" enum:"minmax,m4"`
	Fill     string          `json:"fill" enum:"gap,null,locf"`
	Points   int             `json:"points" doc:"Points asked for"`
	From     float64         `json:"from,omitempty" doc:"Begin of the window, ms since 1970; with align=time"`
	To       float64         `json:"to,omitempty" doc:"Its end, not part of it"`
	Settled  bool            `json:"settled" doc:"No records came for a while, or the run has ended"`
	Sessions []sessionSeries `json:"sessions"`
}

type sessionSeries struct {
	Session string             `json:"session_id"`
	Version string             `json:"version" doc:"Changes whenever the run's records do"`
	Level   string             `json:"level" doc:"What served the bulk: raw, or a rollup such as 10s"`
	Records bool               `json:"records" doc:"The points are the records themselves: there are no more than points"`
	Bucket  float64            `json:"bucket" doc:"Width of a bucket in the unit of t; 0 for records"`
	T       []float64          `json:"t" doc:"Begin of each bucket: ms since 1970, s since the run's start, or m"`
	Metrics map[string]columns `json:"metrics" doc:"By name. Text states, such as driver_mode, have only the newest of each bucket"`
}

// Track describes what series.Track.AppendGeoJSON writes.
type Track struct {
	Type       string     `json:"type" enum:"Feature"`
	Geometry   *lines     `json:"geometry" doc:"Parted where there was no fix for longer than 2 s and than five of their usual steps"`
	Properties properties `json:"properties"`
}

type lines struct {
	Type        string        `json:"type" enum:"MultiLineString"`
	Coordinates [][][]float64 `json:"coordinates" doc:"Longitude and latitude, deg"`
}

type properties struct {
	Session   string      `json:"session_id"`
	Tolerance float64     `json:"tolerance_m" doc:"How far a measured position may lie from the line, m"`
	Measured  int         `json:"measured" doc:"Positions it was drawn from"`
	Times     [][]float64 `json:"times" doc:"When each position was measured, ms since 1970"`
}
