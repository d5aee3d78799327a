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
	schema "github.com/ecovolt/telemetryd/sql"
)

// Failure is how a function failed, ready to be sent.
type Failure struct {
	Kind       fault.Kind
	Message    string
	Data       json.RawMessage // errorData; nil when there is none
	RetryAfter time.Duration
	// Transient says that the same call may well succeed a little later.
	Transient bool
}

// Describe turns an error of a function into what its caller may see. The
// detail of an internal error goes to the log only, under an id that the
// caller gets too.
func Describe(ctx context.Context, log *slog.Logger, function string, err error, format value.Format) *Failure {
	e := fault.As(err)
	if e == nil || e.Kind == fault.Internal {
		id := strings.ToLower(rand.Text()[:16])
		level := slog.LevelError
		if errors.Is(err, context.Canceled) || errors.Is(ctx.Err(), context.Canceled) {
			level = slog.LevelDebug // who asked does not want it any more
		}
		log.Log(ctx, level, "function failed", "function", fmt.Sprintf("%.80s", function), "request", id, "error", err)
		return &Failure{
			Kind:      fault.Internal,
			Message:   "[Request ID: " + id + "] Server Error",
			Transient: schema.Away(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled),
		}
	}
	f := &Failure{
		Kind:       e.Kind,
		Message:    e.Error(),
		RetryAfter: e.RetryAfter,
		Transient:  e.Kind == fault.Unavailable,
	}
	if e.Code != "" {
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
