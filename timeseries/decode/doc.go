// Package decode reads records from JSON and CSV into batches.
package decode
