// Package simulate makes the telemetry of believable cars: an eco-marathon
// vehicle that pulses and glides around a circuit, with the fields, the rate
// and the noise of a real export, pit stops between stints, a clock that
// jitters and a radio link that pauses.
//
// It is what `telemetryd simulate` sends and what benchmarks load. The same
// options give the same records, to the last digit.
package simulate
