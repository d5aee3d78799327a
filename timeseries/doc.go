// Package timeseries is the telemetry store: COPY ingest, record reads, zoom
// levels, sessions and their summaries.
package timeseries
