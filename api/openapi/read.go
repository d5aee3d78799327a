package openapi

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// Read reads what a request has of the parameter into its field of the declared
// struct. It fails with fault.Invalid, naming the parameter.
func (p *Param) Read(into reflect.Value, texts []string) error {
	text := p.Tag.Get("default")
	if len(texts) > 0 && texts[0] != "" {
		text = texts[0]
	}
	if p.Kind == reflect.TypeFor[[]string]() {
		into.Set(reflect.ValueOf(splitList(texts)))
		return nil
	}
	if text == "" {
		return nil
	}
	switch p.Kind {
	case reflect.TypeFor[time.Time]():
		t, err := ParseMoment(text)
		if err != nil {
			return fault.Field(p.Name, "%v, nor milliseconds since 1970", err)
		}
		into.Set(reflect.ValueOf(t))
		return nil
	case reflect.TypeFor[*float64]():
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return fault.Field(p.Name, "must be a number")
		}
		if over, err := strconv.ParseFloat(p.Tag.Get("over"), 64); err == nil && v <= over {
			return fault.Field(p.Name, "must be over %v", over)
		}
		into.Set(reflect.ValueOf(&v))
		return nil
	}
	switch p.Kind.Kind() {
	case reflect.Int, reflect.Int64:
		n, err := strconv.Atoi(text)
		if err != nil || n < p.Low || n > p.High {
			return fault.Field(p.Name, "must be a whole number from %d to %d", p.Low, p.High)
		}
		into.SetInt(int64(n))
	case reflect.String:
		if p.Enum != nil && !slices.Contains(p.Enum, text) {
			last := len(p.Enum) - 1
			return fault.Field(p.Name, "must be %s", strings.TrimPrefix(strings.Join(p.Enum[:last], ", ")+" or "+p.Enum[last], " or "))
		}
		into.SetString(text)
	default:
		panic(fmt.Sprintf("parameter %s: no way to read a %s", p.Name, p.Kind))
	}
	return nil
}

// splitList splits values between commas, each value once.
func splitList(texts []string) []string {
	var list []string
	for _, text := range texts {
		for value := range strings.SplitSeq(text, ",") {
			if value = strings.TrimSpace(value); value != "" && !slices.Contains(list, value) {
				list = append(list, value)
			}
		}
	}
	return list
}

// ParseMoment reads an ISO 8601 time, or milliseconds since the Unix epoch. A
// plus sign that arrived as a space is taken for what it was meant to be.
func ParseMoment(text string) (time.Time, error) {
	if ms, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(ms) < 1e14 {
		return time.UnixMicro(int64(ms * 1000)).UTC(), nil
	}
	if i := strings.LastIndexByte(text, ' '); i > len("2006-01-02T15") {
		text = text[:i] + "+" + text[i+1:]
	}
	return record.ParseTime(text)
}
