// Package record is one telemetry record: its values, timestamp and cursor,
// and how they are written as binary COPY, JSON and CSV.
package record
