package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A sorted list is paged to its end, each run once, and a cursor is good for a list
// of its kind only.
func TestSortedListsOfRuns(t *testing.T) {
	t.Parallel()
	h := openServer(t)
	var names, cursors []string
	for cursor := ""; ; {
		status, text := h.send(t, "GET", "/api/v1/sessions?sort=-name&limit=1&cursor="+url.QueryEscape(cursor), "Bearer "+h.token["admin"], "")
		var page struct {
			Sessions []struct {
				ID string `json:"session_id"`
			}
			Next *string `json:"next_cursor"`
		}
		if err := json.Unmarshal([]byte(text), &page); err != nil || status != http.StatusOK || len(page.Sessions) != 1 {
			t.Fatal(status, text)
		}
		names = append(names, page.Sessions[0].ID)
		if page.Next == nil {
			break
		}
		cursor = *page.Next
		cursors = append(cursors, cursor)
	}
	if got := fmt.Sprint(names); got != "[recent old long live]" {
		t.Errorf("by name backwards: %s", got)
	}
	for _, path := range []string{"/api/v1/sessions?cursor=" + cursors[0], "/api/v1/sessions?sort=name&cursor=MTIzIGE"} {
		if status, text := h.send(t, "GET", path, "Bearer "+h.token["admin"], ""); status != http.StatusBadRequest || !strings.Contains(text, `"field":"cursor"`) {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}

// What cannot be looked for is said so, whatever it is made of.
func TestFiltersOfRuns(t *testing.T) {
	t.Parallel()
	h := openServer(t)
	for _, query := range []string{
		"driver=%ff", "tag=%00", "q=%ff", "field=a%ff=x", "field=x", "field==x", "day=tomorrow", "timezone=Local", "timezone=../../etc/passwd", "q=" + strings.Repeat("a+", 21),
	} {
		for _, path := range []string{"/api/v1/sessions", "/api/v1/season"} {
			if status, text := h.send(t, "GET", path+"?"+query, "Bearer "+h.token["admin"], ""); status != http.StatusBadRequest {
				t.Errorf("%s?%s: %d %s", path, query, status, text)
			}
		}
	}
	// External accounts find nothing outside their window, however they ask.
	for _, query := range []string{"", "?from=0", "?day=" + "2000-01-01", "?q=old", "?sort=name"} {
		if status, text := h.send(t, "GET", "/api/v1/sessions"+query, "Bearer "+h.token["external"], ""); status != http.StatusOK || strings.Contains(text, `"session_id":"old"`) {
			t.Errorf("%s: %d %s", query, status, text)
		}
	}
	if status, text := h.send(t, "GET", "/api/v1/season?figure=duration_s&by=day", "Bearer "+h.token["external"], ""); status != http.StatusOK || strings.Contains(text, `"session_id":"old"`) {
		t.Errorf("a season: %d %s", status, text)
	}
}
