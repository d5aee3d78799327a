// Package secret makes secrets, and what the database keeps in their place:
//
//	password of a person ─▶ Hash, Verify   argon2id, under the pepper
//	token, key, code     ─▶ Digest         SHA-256: they have 112 bits and more
//	what is read again   ─▶ Seal, Open     AES-256-GCM under the pepper
//
// A Keeper is safe for concurrent use. How much memory it takes at once is for its
// callers to bound: each hash takes Params.MemoryKiB, an imported scrypt one 128 MiB.
package secret
