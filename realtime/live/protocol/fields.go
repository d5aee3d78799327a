package protocol

import (
	"slices"

	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/registry"
)

// recordID is the member with a record's opaque id, as the function contract has it.
const recordID = "_id"

// every stands for all members: beside it go math channels, which are none.
const every = "*"

// Select returns what the names of fields mean. Those that no channel has are
// members as they are spelt: a car may yet send such.
func Select(set *registry.Set, fields []string) (selected *record.Selection, unknown []string) {
	names := slices.DeleteFunc(slices.Clone(fields), func(name string) bool { return name == every })
	for i, name := range names {
		if name == recordID {
			names[i] = "timestamp"
		}
	}
	selected, unknown = set.Select(names)
	if slices.Contains(fields, every) {
		selected = record.All.Union(selected)
	}
	if slices.Contains(fields, recordID) {
		selected = selected.WithID(recordID)
	}
	slices.Sort(unknown)
	return selected, slices.Compact(unknown)
}
