// Package number reads the numbers in the cells of tables, as people, spreadsheets
// and loggers write them, and tells them from what looks like one. It holds no state.
package number
