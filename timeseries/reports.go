package timeseries

import (
	"fmt"
	"strings"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// Bounds on texts of reports, in bytes: far beyond what the bridge sends, so
// that nothing honest is refused and a flood cannot fill the database.
const (
	maxIDText      = 512
	maxNameText    = 1024
	maxTimeText    = 128
	maxTitleText   = 1024
	maxMessageText = 16384
	maxCount       = 1 << 53
)

// problems collects what is wrong with a report.
type problems struct {
	index *int // of the item looked at, in a list
	list  []fault.Problem
}

func (p *problems) add(field, format string, args ...any) {
	p.list = append(p.list, fault.Problem{Index: p.index, Field: field, Reason: fmt.Sprintf(format, args...)})
}

// text checks a text that is stored as it is.
func (p *problems) text(field, value string, most int) {
	if len(value) > most {
		p.add(field, "must be at most %d bytes", most)
	}
	if strings.ContainsRune(value, 0) {
		p.add(field, "must not contain the character U+0000")
	}
}

// err returns all problems as one error, or nil when there are none.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	return &fault.Error{Kind: fault.Invalid, Message: "invalid input", Problems: p.list}
}
