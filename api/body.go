package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// maxSmallBody bounds the bodies of requests that carry no records, in bytes.
const maxSmallBody = 64 << 10

// readBody decodes a small JSON body: one object of known members. Messages
// never repeat what was sent, since it may be a password.
func readBody(r *Request, into any) error {
	// A client that sends a byte now and then must not hold the connection.
	control := http.NewResponseController(r.Writer)
	_ = control.SetReadDeadline(time.Now().Add(bodyPatience))
	decoder := json.NewDecoder(http.MaxBytesReader(r.Writer, r.Request.Body, maxSmallBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		_, err = decoder.Token()
		if errors.Is(err, io.EOF) {
			// It has all arrived; the deadline would cut the work short. After a
			// failure it stays: the server waits for the rest of the body.
			_ = control.SetReadDeadline(time.Time{})
			return nil
		}
		if err == nil {
			return fault.New(fault.Invalid, "the body holds more than one JSON value")
		}
	}
	var big *http.MaxBytesError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &big):
		return err
	case errors.As(err, &kind) && kind.Field != "":
		return fault.Field(kind.Field, "must not be a %s", kind.Value)
	case errors.Is(err, io.EOF):
		return fault.New(fault.Invalid, "the body is empty; send a JSON object")
	}
	return fault.New(fault.Invalid, "the body is not a JSON object of the members that this route takes")
}

// answer sends a JSON answer that nobody may keep a copy of.
func answer(r *Request, status int, body any) error {
	r.Header("Cache-Control", "no-store")
	if body == nil {
		r.Status(status)
		r.Writer.WriteHeaderNow()
		return nil
	}
	r.JSON(status, body)
	return nil
}
