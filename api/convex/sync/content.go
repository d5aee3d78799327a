package sync

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/internal/fault"
)

// content is what a query answered. It is shared by all who asked the same,
// and never changed.
type content struct {
	value   json.RawMessage
	journal string // of a paginated query; "" is none
	failed  *registry.Failure
	noRoom  bool // it failed because the budget of results is spent
	// mark stands for the content: who could not tell two apart sees the same
	// mark. A socket keeps it instead of a result that may be large.
	mark mark
}

type mark [sha256.Size]byte

func succeeded(value json.RawMessage, journal string) *content {
	c, h := &content{value: value, journal: journal}, sha256.New()
	fmt.Fprintf(h, "\x01%d %s", len(journal), journal)
	h.Write(value)
	h.Sum(c.mark[:0])
	return c
}

func failed(f *registry.Failure) *content {
	text := fmt.Appendf(nil, "\x03%d %s%s", len(f.Message), f.Message, f.Data)
	if f.Kind == fault.Internal {
		text = []byte{2} // their messages differ in the request id only
	}
	return &content{failed: f, mark: sha256.Sum256(text)}
}

// result is a content and how new it is.
type result struct {
	*content
	// start is when the run that gave it began: it holds all that was
	// committed before.
	start int64
}
