package api

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx"
	"github.com/ecovolt/telemetryd/timeseries"
)

func (s *server) seriesRoutes() []Route {
	return []Route{
		{http.MethodGet, "/api/v1/sessions/:id/series", auth.ReadSeries, s.getSeries},
		{http.MethodGet, "/api/v1/sessions/:id/summary", auth.ReadSeries, s.getSummary},
		{http.MethodGet, "/api/v1/sessions/:id/laps", auth.ReadSeries, s.getLaps},
		{http.MethodGet, "/api/v1/sessions/:id/track", auth.ReadSeries, s.getTrack},
	}
}

// defaultPoints is about the width of a chart.
const defaultPoints = 1000

func (s *server) getSeries(r *Request) error {
	req := timeseries.SeriesRequest{Sessions: []string{r.Session.ID}, Metrics: listParam(r, "metrics")}
	var others []*timeseries.Session
	for _, id := range listParam(r, "compare") {
		if slices.Contains(req.Sessions, id) {
			continue
		}
		if len(req.Sessions) > timeseries.MaxSeriesSessions {
			break // the store says how many are too many
		}
		other, err := s.admitSession(r, id, auth.ReadSeries)
		if err != nil {
			return err
		}
		req.Sessions, others = append(req.Sessions, id), append(others, other)
	}
	var err error
	if req.Points, err = intParam(r, "points", math.MinInt, math.MaxInt, defaultPoints); err != nil {
		return err
	}
	if req.From, err = timeParam(r, "from"); err != nil {
		return err
	}
	if req.To, err = timeParam(r, "to"); err != nil {
		return err
	}
	if req.Start, err = numberParam(r, "start"); err != nil {
		return err
	}
	if req.End, err = numberParam(r, "end"); err != nil {
		return err
	}
	var ok bool
	if req.Align, ok = timeseries.ParseAlign(r.Query("align")); !ok {
		return fault.Field("align", "must be time, elapsed or distance")
	}
	if req.Fill, ok = timeseries.ParseFill(r.Query("fill")); !ok {
		return fault.Field("fill", "must be gap, null or locf")
	}
	if req.Mode, ok = timeseries.ParseMode(r.Query("mode")); !ok {
		return fault.Field("mode", "must be minmax or m4")
	}
	var series *timeseries.Series
	err = s.read(r, func(store *timeseries.Store) (err error) {
		series, err = store.Series(r.Request.Context(), req)
		return err
	}, others...)
	if err != nil {
		return err
	}
	// A caller that names the version it knows of the session may keep the
	// answer for ever, if that is the version it got.
	pinned := len(series.Sessions) == 1 && r.Query("version") == series.Sessions[0].Version
	writeCacheable(r, "application/json", series.AppendJSON(nil), pinned, series.Settled)
	return nil
}

// read reads from the path's session, and maybe others: from the replica, if
// there is one that holds them as they are.
func (s *server) read(r *Request, read func(*timeseries.Store) error, others ...*timeseries.Session) error {
	if s.Replica == nil {
		return read(s.Store)
	}
	return s.Replica.Read(r.Request.Context(), append(others, r.Session), read)
}

// writeCacheable answers with a body that is known by its content. What can
// change is asked for again each time, which costs no transfer while it did not.
func writeCacheable(r *Request, contentType string, body []byte, pinned, settled bool) {
	sum := sha256.Sum256(body)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:15]) + `"`
	r.Header("ETag", "W/"+etag) // weak: the body may be compressed
	switch {
	case pinned:
		r.Header("Cache-Control", "private, max-age=31536000, immutable")
	case settled:
		r.Header("Cache-Control", "private, max-age=10, stale-while-revalidate=600")
	default:
		r.Header("Cache-Control", "private, no-cache")
	}
	// Who may read a session depends on the credential.
	r.Writer.Header().Add("Vary", "Authorization")
	if httpx.Matches(r.Request, etag) {
		r.Status(http.StatusNotModified)
		return
	}
	r.Header("Content-Type", contentType)
	httpx.Send(r.Writer, r.Request, http.StatusOK, body)
}

func (s *server) getSummary(r *Request) error {
	summary, err := s.Store.Summary(r.Request.Context(), r.Session.ID)
	if err != nil {
		return err
	}
	body, err := json.Marshal(summary)
	if err != nil {
		return err
	}
	writeCacheable(r, "application/json", body, false, false)
	return nil
}

func (s *server) getLaps(r *Request) error {
	req := timeseries.LapRequest{Session: r.Session.ID}
	var err error
	if req.Latitude, err = numberParam(r, "latitude"); err != nil {
		return err
	}
	if req.Longitude, err = numberParam(r, "longitude"); err != nil {
		return err
	}
	for name, into := range map[string]*float64{"radius": &req.Radius, "at_least": &req.AtLeast} {
		v, err := numberParam(r, name)
		if err != nil {
			return err
		}
		if v != nil {
			if *v <= 0 {
				return fault.Field(name, "must be over 0")
			}
			*into = *v
		}
	}
	var race *timeseries.LongRace
	err = s.read(r, func(store *timeseries.Store) (err error) {
		race, err = store.Laps(r.Request.Context(), req)
		return err
	})
	if err != nil {
		return err
	}
	body, err := json.Marshal(race)
	if err != nil {
		return err
	}
	writeCacheable(r, "application/json", body, false, false)
	return nil
}

// defaultTolerance is about what GPS itself is off by.
const defaultTolerance = 2

func (s *server) getTrack(r *Request) error {
	tolerance := float64(defaultTolerance)
	if v, err := numberParam(r, "tolerance"); err != nil {
		return err
	} else if v != nil {
		tolerance = *v
	}
	var track *timeseries.Track
	err := s.read(r, func(store *timeseries.Store) (err error) {
		track, err = store.Track(r.Request.Context(), r.Session.ID, tolerance)
		return err
	})
	if err != nil {
		return err
	}
	points, err := intParam(r, "points", 1, math.MaxInt32, 0)
	if err != nil {
		return err
	}
	if points > 0 {
		track.Coarsen(points)
	}
	writeCacheable(r, "application/geo+json", track.AppendGeoJSON(nil), r.Query("version") == track.Version, false)
	return nil
}

// listParam reads a parameter that may be given several times, each with
// several values between commas.
func listParam(r *Request, name string) []string {
	var list []string
	for _, text := range r.QueryArray(name) {
		for value := range strings.SplitSeq(text, ",") {
			if value = strings.TrimSpace(value); value != "" {
				list = append(list, value)
			}
		}
	}
	return list
}

func numberParam(r *Request, name string) (*float64, error) {
	text := r.Query(name)
	if text == "" {
		return nil, nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return nil, fault.Field(name, "must be a number")
	}
	return &v, nil
}
