package registry

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/api/convex/value"
	"github.com/ecovolt/telemetryd/internal/fault"
)

// Failure is how a function failed, ready to be sent. Unavailable says that the
// same call may well succeed a little later.
type Failure struct {
	Kind       fault.Kind
	Message    string
	Data       json.RawMessage // errorData; nil when there is none
	RetryAfter time.Duration
}

// Describe turns an error of a function into what its caller may see. The
// detail of what is our fault goes to the log only, and for an internal error
// under an id that the caller gets too.
func Describe(ctx context.Context, log *slog.Logger, function string, err error, format value.Format) *Failure {
	e, id := fault.Explain(err), strings.ToLower(rand.Text()[:16])
	cancelled := errors.Is(err, context.Canceled) || errors.Is(ctx.Err(), context.Canceled)
	if fault.As(err) == nil || e.Kind == fault.Internal {
		level := slog.LevelError
		if cancelled {
			level = slog.LevelDebug // who asked does not want it any more
		}
		log.Log(ctx, level, "function failed", "function", fmt.Sprintf("%.80s", function), "request", id, "error", err)
	}
	f := &Failure{Kind: e.Kind, Message: e.Error(), RetryAfter: e.Wait()}
	switch {
	case e.Kind == fault.Internal && errors.Is(err, context.Canceled):
		f.Kind, f.Message = fault.Unavailable, "the call was cancelled"
	case e.Kind == fault.Internal:
		f.Message = "[Request ID: " + id + "] Server Error"
	case e.Code != "":
		f.Data, f.Message = codedError(e, format)
	}
	return f
}

// codedError returns the errorData of a coded error, and the message that holds
// it as text, since some clients look for the code there.
func codedError(e *fault.Error, format value.Format) (json.RawMessage, string) {
	members := make(map[string]any, len(e.Data)+2)
	maps.Copy(members, e.Data)
	members["code"], members["message"] = e.Code, e.Error()
	data, err := value.Append(nil, members, format)
	if err != nil { // Data holds something that cannot be sent: go without it
		data, _ = value.Append(nil, map[string]any{"code": e.Code, "message": e.Error()}, format)
	}
	return data, "Uncaught ConvexError: " + string(data)
}

// Append appends the message as a JSON string and, if there is one, the member
// errorData.
func (f *Failure) Append(dst []byte) []byte {
	dst = value.AppendString(dst, f.Message)
	if f.Data != nil {
		dst = append(dst, `,"errorData":`...)
		dst = append(dst, f.Data...)
	}
	return dst
}
