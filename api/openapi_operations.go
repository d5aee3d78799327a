package api

// operations describes every route, by "METHOD /path". A test holds that the
// routes and this table name the same.
var operations = map[string]operation{
	"POST /api/v1/telemetry": {
		about: "Store records. An upload is stored whole or not at all, and one that comes again is recognised and answered, not stored.",
		params: []object{
			query("on_error", "abort (one bad record rejects all) or skip (the good ones are stored, the bad ones named)", enum("abort", "skip")),
			query("session_id", "Store all records in this session", text()),
			query("session_name", "Name of the session, for CSV", text()),
			header("Idempotency-Key", "Your own name for the upload, at most 255 bytes"),
			header("Content-Encoding", "gzip or zstd"),
		},
		body: object{"required": true, "content": object{
			"application/json":     object{"schema": object{"type": "array", "items": ref("Record")}},
			"application/x-ndjson": object{"schema": text()},
			"text/csv":             object{"schema": text()},
		}},
		answers: ok("How many records were stored", "Ingested"),
	},
	"GET /api/v1/sessions": {
		about:   "List runs, newest first. External accounts see those of the last 7 days.",
		params:  []object{limitParam(1000), cursorParam()},
		answers: ok("Runs", "Sessions"),
	},
	"GET /api/v1/sessions/:id":        {about: "Describe a run.", answers: ok("The run", "Session")},
	"DELETE /api/v1/sessions/:id":     {about: "Delete a run with its records. The run on the road is refused (ACTIVE_SESSION).", answers: ok("How many records it had", "AnyObject")},
	"GET /api/v1/sessions/:id/latest": {about: "Give the newest record, by time of measurement.", params: []object{fieldsQuery()}, answers: ok("The record", "Record")},
	"GET /api/v1/sessions/:id/records": {
		about: "Read records, oldest first. With a limit it gives a page and the next one's cursor (in the body, and in the Link and X-Next-Cursor headers); without, a stream to the end.",
		params: []object{
			query("from", "Records from this time on", moment()), query("to", "Records before this time", moment()), fieldsQuery(),
			limitParam(2147483646), cursorParam(), query("format", "Form of the answer; default by Accept", enum("json", "ndjson", "csv")),
			query("download", "Anything: offer the answer as a file", text()),
		},
		answers: object{"200": object{"description": "Records", "content": object{
			"application/json": object{"schema": ref("Records")}, "application/x-ndjson": object{"schema": text()}, "text/csv": object{"schema": text()},
		}}},
	},
	"GET /api/v1/sessions/:id/series": {
		about: "Give metrics in buckets of time, for a chart. Each bucket has lowest, highest and mean value, so that no spike is lost; the answer names the level and width that served it.",
		params: []object{
			query("metrics", "Fields, by comma", text()), query("from", "Start of the window", moment()), query("to", "End of the window, not part of it", moment()),
			query("start", "Start of the window in seconds or metres, where runs are aligned", number()), query("end", "Its end", number()),
			query("points", "Most buckets wanted, about the chart's width in pixels; default 1000", integer()),
			query("mode", "minmax, or m4: also the first and last value of each pixel column", enum("minmax", "m4")),
			query("fill", "What stands for buckets without records", enum("gap", "null", "locf")),
			query("compare", "Further sessions, by comma", text()), query("align", "What runs have in common", enum("time", "elapsed", "distance")),
			query("version", "The session's version that you know: the answer may then be kept for ever", text()),
		},
		answers: object{"200": object{"description": "Columns of times and values", "content": object{"application/json": object{"schema": ref("Series")}}}, "304": object{"description": "Not changed"}},
	},
	"GET /api/v1/sessions/:id/summary": {about: "Give a run's figures: distance, energy, efficiency, speeds, power, gaps, data quality.", answers: ok("The figures", "Summary")},
	"GET /api/v1/sessions/:id/track": {
		about:   "Give the GPS track as GeoJSON, simplified to a tolerance.",
		params:  []object{query("tolerance", "How far a point may lie from the drawn line, m; default 2", number())},
		answers: object{"200": object{"description": "A GeoJSON feature", "content": object{"application/geo+json": object{"schema": ref("Track")}}}},
	},
	"GET /api/v1/sessions/:id/laps": {
		about: "Give laps, stints, stops and driver modes. A lap is from one pass of the line to the next; without a line, from one return to where the run first moved to the next.",
		params: []object{
			query("latitude", "A point of the start line, deg", number()), query("longitude", "Its longitude, deg", number()),
			query("radius", "How near to it a pass is, m; default 25", number()), query("at_least", "Shortest lap, s; default 20", number()),
		},
		answers: ok("Laps and stints", "LongRace"),
	},
	"GET /api/v1/archives/:name": {about: "Fetch an archive file by its signed name. The body is gzip that the caller inflates.", answers: object{"200": object{"description": "The file", "content": object{"application/gzip": object{"schema": object{"type": "string", "format": "binary"}}}}}},
	"GET /api/v1/live": {
		about:   "Follow runs live, by websocket or server-sent events. The protocol is in docs/live.md.",
		answers: object{"101": object{"description": "The websocket is open"}, "200": object{"description": "A stream of events", "content": object{"text/event-stream": object{"schema": text()}}}},
	},
	"GET /api/v1/live/sessions":       {about: "List the runs that can be followed live now.", answers: ok("Runs", "AnyObject")},
	"GET /api/v1/fields":              {about: "List the fields of a record with types, units and meanings.", answers: ok("The fields", "Fields")},
	"GET /api/v1/openapi.json":        {about: "Give this description.", answers: ok("An OpenAPI 3.1 document", "AnyObject")},
	"GET /api/v1/docs":                {about: "Show this description as a page.", answers: object{"200": object{"description": "A page", "content": object{"text/html": object{"schema": text()}}}}},
	"POST /api/v1/auth/signup":        {about: "Make an account and sign in.", body: jsonBody("NewAccount"), answers: object{"201": content("A token", "Token")}},
	"POST /api/v1/auth/signin":        {about: "Sign in. The token lasts 12 hours, or 30 days with remember.", body: jsonOf("email", "password"), answers: ok("A token", "Token")},
	"POST /api/v1/auth/signout":       {about: "End the session of the token.", answers: done()},
	"GET /api/v1/auth/session":        {about: "Tell who the token belongs to.", answers: ok("The session and its account", "AnyObject")},
	"POST /api/v1/auth/password":      {about: "Change one's password. All sessions end.", body: jsonOf("current_password", "new_password"), answers: ok("A new token", "Token")},
	"POST /api/v1/auth/upgrade":       {about: "Ask to become internal.", answers: done()},
	"GET /api/v1/users":               {about: "List accounts, oldest first.", params: []object{query("status", "Only accounts of this approval status", enum("pending", "approved", "rejected"))}, answers: ok("Accounts", "Users")},
	"POST /api/v1/users":              {about: "Make an account.", body: jsonBody("NewAccount"), answers: object{"201": content("The account", "User")}},
	"GET /api/v1/users/:id":           {about: "Describe an account.", answers: ok("The account", "User")},
	"PATCH /api/v1/users/:id":         {about: "Give an account a role, which approves it. The last administrator keeps theirs (LAST_ADMIN).", body: jsonOf("role"), answers: ok("The account", "User")},
	"DELETE /api/v1/users/:id":        {about: "Delete an account with its sessions.", answers: done()},
	"POST /api/v1/users/:id/reject":   {about: "Decline an account's request.", answers: ok("The account", "User")},
	"POST /api/v1/users/:id/ban":      {about: "Lock an account out and end its sessions.", answers: ok("The account", "User")},
	"POST /api/v1/users/:id/password": {about: "Set an account's password and end its sessions.", body: jsonOf("new_password"), answers: done()},
	"GET /api/v1/keys":                {about: "List deploy keys, without the keys themselves.", answers: ok("Keys", "Keys")},
	"POST /api/v1/keys":               {about: "Make a deploy key of scope ingest or admin.", body: jsonOf("name", "scope"), answers: object{"201": content("The key, shown this once", "Key")}},
	"POST /api/v1/keys/:id/rotate":    {about: "Make a key's successor; the old one stays valid for overlap_s seconds.", body: jsonOf("overlap_s"), answers: object{"201": content("The new key, shown this once", "Key")}},
	"DELETE /api/v1/keys/:id":         {about: "Revoke a key now.", answers: done()},
	"GET /api/v1/audit": {
		about:   "Read the audit log, newest first.",
		params:  []object{limitParam(1000), cursorParam(), query("user", "Only events of this account", text()), query("event", "Only events of this kind", text())},
		answers: ok("Events", "Audit"),
	},
}

func text() object    { return object{"type": "string"} }
func number() object  { return object{"type": "number"} }
func integer() object { return object{"type": "integer"} }
func moment() object {
	return object{"type": "string", "description": "ISO 8601, or milliseconds since 1970"}
}

func enum(values ...string) object { return object{"type": "string", "enum": values} }

func query(name, about string, schema object) object {
	return object{"name": name, "in": "query", "description": about, "schema": schema}
}

func header(name, about string) object {
	return object{"name": name, "in": "header", "description": about, "schema": text()}
}

func fieldsQuery() object { return query("fields", "Only these fields, by comma; default all", text()) }
func cursorParam() object { return query("cursor", "next_cursor of the page before", text()) }
func limitParam(most int) object {
	return query("limit", "Most items to give", object{"type": "integer", "minimum": 1, "maximum": most})
}

func content(about, schema string) object {
	return object{"description": about, "content": object{"application/json": object{"schema": ref(schema)}}}
}

func ok(about, schema string) object { return object{"200": content(about, schema)} }
func done() object                   { return object{"204": object{"description": "Done"}} }

func jsonBody(schema string) object {
	return object{"required": true, "content": object{"application/json": object{"schema": ref(schema)}}}
}

// jsonOf is a body of the named members.
func jsonOf(names ...string) object {
	properties := object{}
	for _, name := range names {
		properties[name] = text()
	}
	if _, ok := properties["overlap_s"]; ok {
		properties["overlap_s"] = number()
	}
	return object{"required": true, "content": object{"application/json": object{"schema": object{"type": "object", "properties": properties}}}}
}
