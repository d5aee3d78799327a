package label

import (
	"strings"

	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
)

// timeRanks are the usual names of a time, the surest first.
var timeRanks = map[string]int{
	"timestamp": 1, "_time": 2, "datetime": 2, "date_time": 2, "time_stamp": 2, "timestamp_utc": 2, "utc_timestamp": 2, "date_and_time": 2,
	"utc_time": 3, "time_utc": 3, "utc": 3, "unix_time": 3, "unix_timestamp": 3, "unixtime": 3, "epoch": 3, "epoch_time": 3, "ts": 3, "recorded_at": 3,
	"time": 4, "device_time": 4, "devicetime": 4, "fixtime": 4, "fix_time": 4, "zeit": 4, "uhrzeit": 4, "zeitstempel": 4, "local_time": 4, "time_of_day": 4,
	"timestamp_ms": 5, "timestamp_us": 5, "time_ms": 5, "time_us": 5, "gps_time": 5, "log_time": 5, "created_at": 6, "servertime": 6, "server_time": 6,
	"date": 7, "datum": 7, "gps_date": 7, "utc_date": 7, "log_date": 7, "date_utc": 7,
	"elapsed_time": 8, "elapsed": 8, "time_s": 8, "time_sec": 8, "seconds": 8, "secs": 8, "sec": 8, "t": 8, "t_s": 8, "t_ms": 8, "millis": 8, "milliseconds": 8,
	"interval": 9, "session_time": 9, "total_time": 9, "run_time": 9, "elapsed_s": 8, "elapsed_ms": 8, "time_since_start": 8,
}

// DateRank is the rank of names of a day alone.
const DateRank = 7

// TimeRank is how sure a normal name is that of a time, from 1, the surest; 0 for others.
func TimeRank(name string) int { return timeRanks[name] }

// IsTimeUnit reports whether text says how a column of times is written.
func IsTimeUnit(text string) bool {
	if u, ok := unit.Lookup(text); ok {
		return u.Dimension == "time"
	}
	switch strings.Trim(strings.ToLower(text), "[]()") {
	case "unix time", "unix", "epoch", "utc", "gmt", "time", "date", "datetime", "iso8601", "iso 8601", "timestamp", "hh:mm:ss", "local":
		return true
	}
	return IsSource(text)
}
