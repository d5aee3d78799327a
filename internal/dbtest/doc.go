// Package dbtest gives each test a private, migrated database on a real
// PostgreSQL with TimescaleDB.
//
// The migrations run once per version of the schema, into a template
// database; a test gets a clone of it (CREATE DATABASE ... TEMPLATE, about a
// tenth of a second), which is dropped when the test ends. Any number of test
// processes can share one server: the template is made under a lock, and
// clones that a killed process left behind are dropped by the next one.
//
// The server is the one that TELEMETRYD_TEST_DATABASE_URL names (its user must
// be allowed to create databases and the extension), or else a private one of
// the checkout, started by the first test that needs it. A test without a
// server fails; it is never skipped.
package dbtest
