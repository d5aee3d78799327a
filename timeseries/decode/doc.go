// Package decode reads records from text and collects them in batches.
//
//	io.Reader ── Decoder.Next ──▶ Batch ── Record(i) ──▶ record.Values
//	                │               │
//	   JSON array, NDJSON, CSV      └─ Problems: what was left out, and why
//
// It owns what a record may hold: its limits, the checks of each value, and the
// names that stand for a channel in CSV headers. A bad record is noted in the
// batch with its place and the member that is wrong, and the good ones are
// kept; whether those are stored is the caller's business. Text that cannot be
// read on is an Invalid fault.
//
// Memory is bounded whatever a client sends: MaxRecordBytes of one record, and
// MaxChunkBytes of a batch, at which Next stops. Where a batch ends depends on
// the records alone, since a repeated upload is recognised by its chunks.
//
// A Decoder and a Batch belong to one goroutine at a time. Batches come from a
// pool; what Record returns is valid until the batch is released.
package decode
