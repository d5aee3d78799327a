package convex

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// failure is how a function failed, ready to be sent.
type failure struct {
	kind       fault.Kind
	message    string
	data       json.RawMessage // errorData; nil when there is none
	retryAfter time.Duration
	// transient says that the same call may well succeed a little later.
	transient bool
}

// describe turns an error of a function into what its caller may see. The
// detail of an internal error goes to the log only, under an id that the
// caller gets too.
func describe(ctx context.Context, log *slog.Logger, name string, err error, format Format) *failure {
	e := fault.As(err)
	if e == nil || e.Kind == fault.Internal {
		id := strings.ToLower(rand.Text()[:16])
		level := slog.LevelError
		if errors.Is(err, context.Canceled) || errors.Is(ctx.Err(), context.Canceled) {
			level = slog.LevelDebug // who asked does not want it any more
		}
		log.Log(ctx, level, "function failed", "function", name, "request", id, "error", err)
		return &failure{
			kind:      fault.Internal,
			message:   "[Request ID: " + id + "] Server Error",
			transient: schema.Away(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled),
		}
	}
	f := &failure{
		kind:       e.Kind,
		message:    e.Error(),
		retryAfter: e.RetryAfter,
		transient:  e.Kind == fault.Unavailable,
	}
	if e.Code != "" {
		f.data, f.message = codedError(e, format)
	}
	return f
}

// codedError gives the errorData of a coded error, and the message that holds
// it as text, since some clients look for the code there.
func codedError(e *fault.Error, format Format) (json.RawMessage, string) {
	members := make(map[string]any, len(e.Data)+2)
	for name, value := range e.Data {
		members[name] = value
	}
	members["code"], members["message"] = e.Code, e.Error()
	data, err := AppendValue(nil, members, format)
	if err != nil { // Data holds something that cannot be sent: go without it
		data, _ = AppendValue(nil, map[string]any{"code": e.Code, "message": e.Error()}, format)
	}
	return data, "Uncaught ConvexError: " + string(data)
}

// unknownFunction is the answer to a name that nobody registered.
func unknownFunction(name string) error {
	return fault.New(fault.NotFound, "Could not find public function for '%s'", shorten(name))
}

// wrongKind is the answer to a function that is called as another kind.
func wrongKind(f *Function, called Kind) error {
	return fault.New(fault.Invalid, "Trying to execute %s as %s, but it is defined as %s", f.Name, called, f.Kind)
}
