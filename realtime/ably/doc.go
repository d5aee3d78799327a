// Package ably publishes live records on Ably, for teams whose bridge does not.
//
//	hub.Sub ──▶ Relay.Run ── what is new, read once ──▶ at most 12 messages, 56 KiB ──▶ Ably
//
// A Relay runs in one goroutine, on one instance at a time: the caller holds a
// lease meanwhile. It keeps its place in memory only; the next one begins
// where the live session stands. It holds one page of records; while Ably does
// not answer it reads no further. When it is over 20,000 records behind, it skips
// them and goes on with the newest.
//
// Records are sent as the bridge sends them, in the units of package channel.
package ably
