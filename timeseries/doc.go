// Package timeseries is the telemetry store: the list of fields, COPY ingest,
// record reads, zoom levels, sessions and their summaries.
package timeseries
