package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

// The address that a newcomer opens first says where to go on, and each link leads somewhere.
func TestIndexLinks(t *testing.T) {
	e, _ := serve(t)
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	var index struct {
		Title string
		Links []struct{ Name, Href string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &index); err != nil || w.Code != 200 || len(index.Links) == 0 {
		t.Fatalf("%d %s %v", w.Code, w.Body, err)
	}
	page := httptest.NewRequest(http.MethodGet, "/", nil)
	page.Header.Set("Accept", "text/html,application/xhtml+xml")
	p := httptest.NewRecorder()
	e.ServeHTTP(p, page)
	if !strings.HasPrefix(p.Header().Get("Content-Type"), "text/html") {
		t.Errorf("a browser gets %s", p.Header().Get("Content-Type"))
	}
	e.GET("/readyz", func(c echo.Context) error { return c.NoContent(200) }) // the process answers it, not the API
	for _, l := range index.Links {
		if !strings.Contains(p.Body.String(), `href="`+l.Href+`"`) {
			t.Errorf("the page lacks %s: %s", l.Href, p.Body)
		}
		if !strings.HasPrefix(l.Href, "/") {
			continue
		}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, l.Href, nil))
		if w.Code == 404 {
			t.Errorf("%s leads nowhere", l.Href)
		}
	}
}
