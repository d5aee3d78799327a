// Package check says which e-mail addresses, names and passwords accounts take, by the
// text alone: it knows no account and no database, and keeps nothing.
package check
