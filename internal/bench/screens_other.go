//go:build !linux

package bench

import "errors"

type poller struct{}

func openScreens([]string, *liveCar, int, int) (*screens, error) {
	return nil, errors.New("the live suite needs Linux")
}

// Close ends them all.
func (s *screens) Close() {}
