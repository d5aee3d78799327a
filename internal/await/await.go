package await

import (
	"fmt"
	"testing"
	"time"
)

// Patience is how long a test waits for anything before it counts as hanging.
// Deadlines of sockets and the like, which are there for the same reason, use
// it too.
const Patience = 3 * time.Minute

// Until returns once ok holds. It ends the test if that never happens, and
// prints what was awaited and the state, such as a log, as it is by then.
func Until(t testing.TB, what string, ok func() bool, state ...fmt.Stringer) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s\n%s", what, state)
		}
	}
}
