package api

import "maps"

// addSeriesSchemas describes the answers of charts and long races.
func addSeriesSchemas(to object) {
	described := func(kind any, about string) object { return object{"type": kind, "description": about} }
	number := func(about string) object { return described("number", about) }
	maybe := func(about string) object { return described([]string{"number", "null"}, about) }
	integer := func(about string) object { return described("integer", about) }
	moment := func(about string) object {
		return object{"type": "string", "format": "date-time", "description": about}
	}
	text := func(about string) object { return described("string", about) }
	of := func(properties object) object { return object{"type": "object", "properties": properties} }
	list := func(items object) object { return object{"type": "array", "items": items} }
	column := func(about string) object {
		return object{"type": "array", "items": object{"type": []string{"number", "null"}}, "description": about}
	}
	metric := of(object{
		"unit": text("Unit of the values"),
		"min":  column("Lowest value of the bucket; null where no record has the metric"), "max": column("Highest value"), "avg": column("Mean of the values"),
		"count": object{"type": "array", "items": integer(""), "description": "Records that have the metric; 0 also where a value was carried on"},
		"first": column("mode=m4: first value of the pixel column"), "first_t": column("Its place on the axis"),
		"last": column("mode=m4: last value of the pixel column"), "last_t": column("Its place on the axis"),
	})
	state := of(object{"last": object{
		"type": "array", "items": object{"type": []string{"string", "null"}}, "description": "Newest value in the bucket; null where no record has one",
	}})
	drive := func(count string) object {
		return object{
			count: integer("Number, from 1"), "from": moment("Begin"), "to": moment("End"), "seconds": number("Length, s"),
			"distance_m": maybe("Distance, m"), "energy_wh": maybe("Energy, Wh"), "efficiency_km_kwh": maybe("Efficiency, km/kWh"),
			"avg_speed_kmh": maybe("Mean speed, km/h"), "max_speed_kmh": maybe("Highest speed, km/h"), "avg_power_w": maybe("Mean power, W"),
		}
	}
	lap := drive("lap")
	lap["time_rank"], lap["efficiency_rank"] = integer("1 is the quickest lap"), integer("1 is the most efficient lap")
	maps.Copy(to, object{
		"Series": of(object{
			"align": text("Axis: time, elapsed or distance"), "mode": text("minmax or m4"), "fill": text("gap, null or locf"), "points": integer("Points asked for"),
			"from": number("Begin of the window, ms since 1970; with align=time"), "to": number("Its end, not part of it"),
			"settled": described("boolean", "No records came for a while, or the run has ended"),
			"sessions": list(of(object{
				"session_id": text("The run"), "version": text("Changes whenever the run's records do"),
				"level":   text("What served the bulk: raw, or a rollup: 1s, 5s, 10s, 1m, 10m"),
				"records": described("boolean", "The points are the records themselves: there are no more than points"),
				"bucket":  number("Width of a bucket in the unit of t; 0 for records"),
				"t":       object{"type": "array", "items": number(""), "description": "Begin of each bucket: ms since 1970, s since the run's start, or m"},
				"metrics": object{
					"type": "object", "additionalProperties": object{"anyOf": []object{metric, state}},
					"description": "By name; every column is as long as t. Text states, such as driver_mode, have only the newest of each bucket",
				},
			})),
		}),
		"Summary": of(object{
			"session_id": text("The run"), "batch": integer("Newest batch that is counted"), "start": moment("First record"), "end": moment("Last record"),
			"records": integer("Records"), "distance_km": number("km"), "max_speed_kmh": number("km/h"), "avg_speed_kmh": number("Of the records that move, km/h"),
			"energy_wh": number("Wh"), "efficiency_km_kwh": number("km/kWh; 0 when unknown"), "duration_min": number("min"), "avg_power_w": number("W"),
			"max_power_w": number("W"), "avg_voltage_v": number("V"), "max_g": number("g"), "optimal_speed_kmh": number("First estimate, km/h; 0 when none"),
			"quality_score": maybe("Mean score"), "elevation_gain_m": number("m"), "anomalies": integer("Records flagged with a severity"),
			"cadence_s": number("Mean step between records, s"), "longest_gap_s": number("s"), "duplicates": integer("Records that share a timestamp with the one before"),
			"no_fix": integer("Records without a position"), "gaps_omitted": integer("Gaps beyond the 100 longest"),
			"gaps": list(of(object{"from": moment("Last record before"), "to": moment("First record after"), "seconds": number("s")})),
		}),
		"LongRace": of(object{
			"session_id": text("The run"), "laps": list(of(lap)), "stints": list(of(drive("stint"))),
			"stops": list(of(object{
				"stop": integer("Number, from 1"), "from": moment("Begin"), "to": moment("End"), "seconds": number("Length, s"),
				"latitude": maybe("deg"), "longitude": maybe("deg"),
			})),
			"driver_modes": list(of(object{
				"driver_mode": text("Mode"), "seconds": number("s"), "share": maybe("Of 1"), "distance_m": maybe("m"), "energy_wh": maybe("Wh"),
				"efficiency_km_kwh": maybe("km/kWh"), "avg_speed_kmh": maybe("km/h"),
			})),
		}),
		"Track": of(object{
			"type": text("Feature"), "geometry": described([]string{"object", "null"}, "MultiLineString of longitude and latitude, parted where there was no fix for 30 s"),
			"properties": of(object{
				"session_id": text("The run"), "tolerance_m": number("How far a measured position may lie from the line, m"), "measured": integer("Positions it was drawn from"),
				"times": list(object{"type": "array", "items": number("ms since 1970")}),
			}),
		}),
	})
}
