package timeseries

import (
	"context"

	"github.com/ecovolt/telemetryd/internal/fault"
)

func (v *view) readM4(ctx context.Context, out *SessionSeries, window timeSpan, req *SeriesRequest, metrics []Field) error {
	return fault.Field("mode", "m4 is not served yet")
}
