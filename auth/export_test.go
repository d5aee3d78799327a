package auth

// MatchesForTest checks a password against a stored hash.
func MatchesForTest(stored, password string) bool {
	match, _ := newHasher(HashParams{MemoryKiB: 64, Iterations: 1}, "grains", nil, "").verify(stored, password)
	return match
}
