// Package pace says what a run may still spend: how it drove lately, when its lap and its
// allowance will be over at this pace, and whether that is enough for the plan that
// the run book has of it. It owns no table.
//
//	analytics.laps, analysis_parts ─▶ Reader ─▶ Run ─▶ Of ─▶ Outlook
//	run_book, the plan ──────────────────┘              (no database)
//
// # Definitions
//
//   - A plan counts from the begin of the first lap; of a run without laps from when
//     the car first moved, else from its first record. What it used and drove before is not part of it, pauses are.
//   - The pace is that of the last five laps that have a rank (none with a pause),
//     that are over, began less than 12 hours ago and were heard of for nine tenths of their time. Without one
//     it is that of the last ten minutes, each of 60 s that neither a pause nor a gap of more
//     than a tenth is in. A gap counts with the mean speed and power of all of them.
//   - How far the open lap has come is by distance, against the mean of those laps. What
//     is left of it takes what they took from there on; so pulses, bends and
//     hills count where they are. A distance without laps goes by time.
//   - A spread is the standard deviation of laps, or of minutes. An error is half of the
//     range in which 68 of 100 such runs end: laps vary by themselves as much as the last ones did, and
//     their mean is only known from so few (Student's t). A single lap has none.
//   - An allowance suffices (yes), or does not (no), where that is sure by two errors;
//     else it is unsure. What was not heard of the car is not in what it used.
//   - A run has ended when the bridge said so or nothing came for five minutes. All that
//     is measured against the plan is as of where it reached its goal, or of its end.
//
// What the data do not say is nil, with the reason in Outlook.Why; nothing is NaN or
// infinite. Energy is Wh where it is said, J inside; time s, distance m. Everything is
// safe for concurrent use.
package pace
