// Package doctor looks at what the daemon stands on, its database and its
// machine, and says what is wrong and what to do about it.
//
// Serving begins with Require, which refuses what cannot work. The doctor
// command shows everything that Database, Contents and Machine found.
package doctor
