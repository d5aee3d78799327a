package signals

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/internal/httpx"
	"github.com/ecovolt/telemetryd/internal/httpx/problem"
	"github.com/ecovolt/telemetryd/timeseries/signal"
)

// signalsLine is one of an answer that says how far it has come.
type signalsLine struct {
	Progress *float64         `json:"progress,omitempty" doc:"Share of the records that is read by now, 0 to 1"`
	Answer   *signal.Counted  `json:"answer,omitempty" doc:"The counts, in the last line: of what is kept, in the only one"`
	Error    *problem.Problem `json:"error,omitempty" doc:"What went wrong, in the last line, where others came before"`
}

// tellEvery is how much later a line about the progress follows another at least.
const tellEvery = 100 * time.Millisecond

// progress tells the client of a request how far its answer has come.
func progress(r *rest.Request) func(share float64) {
	var last time.Time
	told := -1.0
	return func(share float64) {
		// Whoever reads may begin anew, on another server.
		if share = math.Floor(share*1000) / 1000; share <= told || time.Since(last) < tellEvery {
			return
		}
		if r.Lines == nil {
			r.Lines = httpx.NewLines(r.Writer, r.Request)
		}
		last, told = time.Now(), share
		r.Lines.Send(fmt.Appendf(nil, `{"progress":%v}`, share))
	}
}

// finish sends the last line.
func finish(r *rest.Request, answer *signal.Counted) error {
	text, err := json.Marshal(signalsLine{Answer: answer})
	if err != nil {
		return err
	}
	release, err := r.Hold(text)
	if err != nil {
		return err
	}
	defer release()
	if r.Lines == nil {
		r.Lines = httpx.NewLines(r.Writer, r.Request)
	}
	r.Lines.Send(text)
	r.Lines.Close()
	return nil
}
