// Package aside has what is set aside of an upload, and the statements by which it
// goes to the table set_aside and is read from there page by page. It holds no
// state.
package aside

// RowSQL is what set_aside has of a row g of telemetry: timestamp and record,
// which reads the same when it is decoded again. The columns are the members, but
// for the key and what is absent.
const RowSQL = `
	coalesce(g.time_text, to_char(g.time AT TIME ZONE 'UTC',
	    CASE WHEN extract(microseconds FROM g.time)::bigint % 1000000 = 0 THEN 'YYYY-MM-DD"T"HH24:MI:SS' ELSE 'YYYY-MM-DD"T"HH24:MI:SS.US' END) || '+00:00'),
	(SELECT coalesce(jsonb_object_agg(m.key, m.value), '{}')
	 FROM jsonb_each(to_jsonb(g) - ARRAY['time', 'session', 'batch', 'ord', 'time_text', 'extra', 'numbers']) m
	 WHERE m.value <> 'null') || coalesce(record_members(g.numbers, g.extra), '{}')`

// Page is a table for WITH RECURSIVE, page (id), of records set aside in the
// session $1 after the one of the id $2: at most $3, and none once they have $4
// bytes, since one may be as long as a record may be. Others than where says are
// left out.
func Page(where string) string {
	next := func(after string) string {
		return `
			SELECT id, octet_length(record::text) AS bytes
			FROM set_aside
			WHERE session = $1 AND id > ` + after + ` AND ` + where + `
			ORDER BY id
			LIMIT 1`
	}
	return `page (id, bytes, n) AS (
		(SELECT id, bytes::bigint, 1 FROM (` + next("$2::bigint") + `) first)
		UNION ALL
		SELECT next.id, page.bytes + next.bytes, page.n + 1
		FROM page
		CROSS JOIN LATERAL (` + next("page.id") + `) next
		WHERE page.n < $3::int AND page.bytes < $4::int
	)`
}
