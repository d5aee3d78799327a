package fault_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// TestKinds holds what clients see of each kind, on each wire.
func TestKinds(t *testing.T) {
	t.Parallel()
	for kind, want := range map[fault.Kind]struct {
		status         int
		function, live string
		wait           time.Duration
	}{
		fault.Internal:        {500, "InternalServerError", "UNAVAILABLE", 0},
		fault.Invalid:         {400, "BadRequest", "INVALID_MESSAGE", 0},
		fault.Unauthenticated: {401, "BadDeployKey", "UNAUTHENTICATED", 0},
		fault.Forbidden:       {403, "Forbidden", "FORBIDDEN", 0},
		fault.NotFound:        {404, "NotFound", "NOT_FOUND", 0},
		fault.Conflict:        {409, "Conflict", "INVALID_MESSAGE", 0},
		fault.TooLarge:        {413, "BodyTooLarge", "INVALID_MESSAGE", 0},
		fault.Unsupported:     {415, "UnsupportedEncoding", "INVALID_MESSAGE", 0},
		fault.RateLimited:     {429, "TooManyRequests", "LIMIT", time.Second},
		fault.Unavailable:     {503, "Overloaded", "UNAVAILABLE", time.Second},
	} {
		e := fault.New(kind, "x")
		if kind.Status() != want.status || kind.FunctionCode() != want.function || e.LiveCode() != want.live || e.Wait() != want.wait {
			t.Errorf("%d: %d %s %s %v, want %+v", kind, kind.Status(), kind.FunctionCode(), e.LiveCode(), e.Wait(), want)
		}
	}
	coded := &fault.Error{Kind: fault.Unavailable, Code: "BUSY", RetryAfter: time.Minute}
	if coded.LiveCode() != "BUSY" || coded.Wait() != time.Minute {
		t.Errorf("what an error says itself does not count: %s %v", coded.LiveCode(), coded.Wait())
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err     error
		want    fault.Kind
		refusal bool
	}{
		{fault.Field("x", "is wrong"), fault.Invalid, true},
		{fmt.Errorf("read session: %w", fault.New(fault.NotFound, "none")), fault.NotFound, true},
		{fault.New(fault.Unavailable, "busy"), fault.Unavailable, false},
		{fmt.Errorf("read: %w", &http.MaxBytesError{Limit: 5}), fault.TooLarge, false},
		{fmt.Errorf("query: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}), fault.Unavailable, false},
		{fmt.Errorf("query: %w", context.DeadlineExceeded), fault.Unavailable, false},
		{errors.New("secret"), fault.Internal, false},
	} {
		if got := fault.Explain(test.err); got.Kind != test.want || got.Message == "secret" {
			t.Errorf("%v: %+v, want kind %d", test.err, got, test.want)
		}
		if got := fault.Refusal(test.err); (got != nil) != test.refusal {
			t.Errorf("%v: refusal %v", test.err, got)
		}
	}
}
