package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ecovolt/telemetryd/internal/process"
)

// screens are clients of the live stream that do as little as they can: the
// machine is to be spent on the daemon. One thread reads from all of them.
type screens struct {
	all []*screen
	car *liveCar

	live        atomic.Int64 // screens that get records as they come
	finished    atomic.Int64 // screens that got a record after the measured ones
	messages    atomic.Int64 // with records, on all of them
	measureFrom atomic.Int64 // the first message_id that counts
	measureTo   atomic.Int64 // the last one

	poller
}

// screen is one of them.
type screen struct {
	fd        int
	buf       []byte // what was read and is no whole frame yet
	live      bool
	over      bool
	last      int // the newest message_id
	latencies []float64
}

// allLatencies lists how long each measured record took to each screen, in ms.
// The screens must be closed.
func (s *screens) allLatencies() []float64 {
	var all []float64
	for _, one := range s.all {
		all = append(all, one.latencies...)
	}
	return all
}

var (
	idMember  = []byte(`"message_id":`)
	isRecords = []byte(`{"type":"records"`)
	isReplay  = []byte(`"replay":true}`)
)

// take reads the whole frames of what a screen has received.
func (s *screens) take(one *screen, now time.Time) error {
	for data := one.buf; ; {
		opcode, body, rest, err := nextFrame(data)
		if err != nil {
			return err
		}
		if body == nil {
			one.buf = append(one.buf[:0], rest...)
			return nil
		}
		if opcode == 1 && bytes.HasPrefix(body, isRecords) {
			s.messages.Add(1)
			s.see(one, body, now)
		}
		data = rest
	}
}

// see notes which records a message brings.
func (s *screens) see(one *screen, body []byte, now time.Time) {
	if !one.live && !bytes.HasSuffix(body, isReplay) {
		one.live = true
		s.live.Add(1)
	}
	from, to := int(s.measureFrom.Load()), int(s.measureTo.Load())
	for !one.over {
		i := bytes.Index(body, idMember)
		if i < 0 {
			return
		}
		body = body[i+len(idMember):]
		id := 0
		for len(body) > 0 && body[0] >= '0' && body[0] <= '9' {
			id, body = id*10+int(body[0]-'0'), body[1:]
		}
		switch {
		case one.last != 0 && id != one.last+1:
			one.over = true // a gap shows in the count
		case to > 0 && id > to:
			one.over = true
			s.finished.Add(1)
		case from > 0 && id >= from:
			one.latencies = append(one.latencies, now.Sub(s.car.sentAt(id)).Seconds()*1000)
		}
		one.last = id
	}
}

// nextFrame takes a server's frame off data. Without a whole one it returns no
// body.
func nextFrame(data []byte) (opcode byte, body, rest []byte, err error) {
	if len(data) < 2 {
		return 0, nil, data, nil
	}
	head, length := 2, uint64(data[1]&0x7f)
	switch length {
	case 126:
		head = 4
	case 127:
		head = 10
	}
	if len(data) < head {
		return 0, nil, data, nil
	}
	switch head {
	case 4:
		length = uint64(binary.BigEndian.Uint16(data[2:]))
	case 10:
		length = binary.BigEndian.Uint64(data[2:])
	}
	if length > 1<<24 {
		return 0, nil, data, errors.New("a frame is too long")
	}
	end := head + int(length)
	if len(data) < end {
		return 0, nil, data, nil
	}
	return data[0] & 0x0f, data[head:end:end], data[end:], nil
}

// upgrade is the request that opens a screen.
func upgrade(url, session string) (address, request string) {
	address = strings.TrimPrefix(url, "http://")
	return address, fmt.Sprintf("GET /api/v1/live?session=%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: %s\r\n\r\n", session, address, process.Authorization)
}
