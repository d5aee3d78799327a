// Package pgserver runs the embedded default: a private PostgreSQL with
// TimescaleDB, kept in a folder of its own.
//
// The server programs are not part of the daemon; they are found on the
// machine (see Find). The server listens on a unix socket that only its owner
// can reach, where no password is asked, and on a loopback port with one.
//
// PostgreSQL is a process of its own session and outlives a killed daemon.
// Whoever starts next on the same folder finds it by its pid file, takes it
// over if it is as it should be, and otherwise restarts it. A lock that the
// operating system frees with its process makes sure that there is one owner.
//
//	folder/lock          held by the daemon that owns the server
//	folder/password      of the loopback port, readable by the owner only
//	folder/port          the loopback port used last
//	folder/postgres.log  what the server says; from 16 MB on begun anew, with what
//	                     was in it in postgres.log.old
//	folder/cluster/      PostgreSQL's data directory
//	folder/run/          the unix socket
package pgserver
