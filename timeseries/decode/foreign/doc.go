// Package foreign reads text tables as loggers, spreadsheets and other programs
// write them, and says what each of their columns becomes here.
//
// It owns three things: how a table is cut into cells (dialect), what a column
// means, and the table that a person is shown before anything is stored; packages
// text, label, number, unit and moment below it know encodings, the names of
// channels, and the spellings of numbers, units and times. It knows neither
// database nor HTTP, and it does not validate: what a record may hold is for
// package decode to say.
//
//	bytes ──► text ──► lines ──► Reader ──► cells in the channels' own units ──► decode
//	         UTF-8     cells      ▲   │
//	                              │   └─► Table, what a person is shown
//	          head ──► layout ──► plan
//	    (1,000 records) separator, header,   column: name, unit, conversion
//	                    rows of units        time: form, zone, order of the day
//
// What is decided is decided once, on the head: at most 1,000 records and 2 MB.
// What the head cannot tell, and would have to be guessed, is an Invalid fault
// that names the option to give. A file that the bridge or an export wrote goes
// the same way; its cells are passed on as they are, not copied.
//
// Values are in the units of package channel. Times are microseconds since the
// Unix epoch. A Reader is not safe for concurrent use.
package foreign
