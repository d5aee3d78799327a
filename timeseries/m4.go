package timeseries

import (
	"context"
	"errors"
)

func (v *view) readM4(ctx context.Context, out *SessionSeries, window timeSpan, req *SeriesRequest, metrics []Field) error {
	return errors.New("not yet")
}
