package api

import (
	"html/template"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// Link is something that a server offers: its name and where it is.
type Link struct {
	Name string `json:"name"`
	Href string `json:"href"`
}

var indexPage = template.Must(template.New("index").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{.Title}}</title>
<body style="font-family:system-ui,sans-serif;max-width:40rem;margin:3rem auto;line-height:1.6">
<h1>{{.Title}}</h1><ul>{{range .Links}}<li><a href="{{.Href}}">{{.Name}}</a></li>{{end}}</ul></body></html>
`))

// Index answers GET / with links: a page for browsers, else JSON.
func Index(title string, links ...Link) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set("Vary", "Accept")
		index := map[string]any{"title": title, "links": links}
		if !strings.Contains(c.Request().Header.Get("Accept"), "text/html") {
			return c.JSON(http.StatusOK, index)
		}
		c.Response().Header().Set("Content-Type", "text/html; charset=utf-8")
		return indexPage.Execute(c.Response(), map[string]any{"Title": title, "Links": links})
	}
}
