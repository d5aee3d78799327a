package line

import "github.com/ecovolt/telemetryd/timeseries/series/digits"

// AppendGeometry appends the parts of a way as a geometry of GeoJSON (RFC 7946).
func AppendGeometry(dst []byte, parts [][]Point) []byte {
	if len(parts) == 0 {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"type":"MultiLineString","coordinates":`...)
	dst = appendParts(dst, parts, func(dst []byte, p Point) []byte {
		dst = digits.Append(append(dst, '['), p.Longitude)
		dst = digits.Append(append(dst, ','), p.Latitude)
		return append(dst, ']')
	})
	return append(dst, '}')
}

// AppendTimes appends the time of each of those positions, in milliseconds since 1970.
func AppendTimes(dst []byte, parts [][]Point) []byte {
	return appendParts(dst, parts, func(dst []byte, p Point) []byte {
		return digits.AppendMillis(dst, float64(p.Time.UnixMicro())/1e3)
	})
}

func appendParts(dst []byte, parts [][]Point, add func([]byte, Point) []byte) []byte {
	dst = append(dst, '[')
	for i, part := range parts {
		if i > 0 {
			dst = append(dst, ',')
		}
		if len(part) == 1 { // a line needs two positions
			part = []Point{part[0], part[0]}
		}
		for k, p := range part {
			separator := byte(',')
			if k == 0 {
				separator = '['
			}
			dst = add(append(dst, separator), p)
		}
		dst = append(dst, ']')
	}
	return append(dst, ']')
}
