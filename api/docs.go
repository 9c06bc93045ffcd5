package api

import (
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/swaggest/swgui/v5emb"

	"github.com/daybook-dev/daybook/kit/es"
)

// page is one page of the documentation, without scripts.
var page = template.Must(template.New("page").Funcs(template.FuncMap{"prose": prose}).Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Title}} – Daybook</title>
<style>
body { font: 16px/1.6 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem; color-scheme: light dark }
code { font-family: ui-monospace, monospace; font-size: .92em } td, th { text-align: left; padding: .2rem 1rem .2rem 0; vertical-align: top }
</style></head>
<body><p><a href="/">Daybook</a> · <a href="/docs/">Reference</a> · <a href="/docs/problems">Problems</a></p>
<h1>{{.Title}}</h1>
{{with .Problem}}<p><code>{{.Code}}</code>, status {{.Status}}, type <code>urn:daybook:problem:{{.Code}}</code></p>
<p>{{prose .Text}}</p>
<p>An error is answered as <code>application/problem+json</code> (RFC 9457). Its <code>trace_id</code> finds the request in the server's log.</p>{{end}}
{{with .Problems}}<table><tr><th>Status</th><th>Code</th><th>Title</th></tr>
{{range .}}<tr><td>{{.Status}}</td><td><a href="/docs/problems/{{.Code}}"><code>{{.Code}}</code></a></td><td>{{.Title}}</td></tr>
{{end}}</table>{{end}}
</body></html>
`))

// prose shows the parts of a text that are quoted by ` as code.
func prose(text string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(text, "`") {
		if part = template.HTMLEscapeString(part); i%2 == 1 {
			part = "<code>" + part + "</code>"
		}
		b.WriteString(part)
	}
	return template.HTML(b.String()) //nolint:gosec // escaped above
}

// documented is a problem as its page shows it.
type documented struct {
	Code   es.Code
	Status int
	Title  string
	Text   string
}

func documentedOf(code es.Code) documented {
	k := kinds[code]
	return documented{code, k.status, k.title, k.text}
}

// docs serves the documents, the reference of the API and a page per problem. Nothing of them is fetched from elsewhere.
func docs(e *echo.Echo) error {
	spec, err := LoadSpec()
	if err != nil {
		return err
	}
	asJSON, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("write openapi.yaml as JSON: %w", err)
	}
	e.GET("/", Index(
		"Daybook",
		Link{"Reference of the API", "/docs/"}, Link{"Problems that it answers with", "/docs/problems"},
		Link{"API document (OpenAPI)", "/openapi.yaml"}, Link{"Document of the Kafka topic (AsyncAPI)", "/asyncapi.yaml"}, Link{"Is it ready?", "/readyz"},
	))
	blob := func(path, mediaType string, content []byte) {
		e.GET(path, func(c echo.Context) error { return c.Blob(http.StatusOK, mediaType, content) })
	}
	blob("/openapi.yaml", "application/yaml", Spec)
	blob("/openapi.json", "application/json", asJSON)
	blob("/asyncapi.yaml", "application/yaml", AsyncSpec)

	e.GET("/docs", func(c echo.Context) error { return c.Redirect(http.StatusMovedPermanently, "/docs/") })
	e.GET("/docs/*", echo.WrapHandler(v5emb.New("Daybook", "/openapi.yaml", "/docs/")))
	show := func(c echo.Context, content map[string]any) error {
		c.Response().Header().Set("Content-Type", "text/html; charset=utf-8")
		return page.Execute(c.Response(), content)
	}
	e.GET("/docs/problems", func(c echo.Context) error {
		var all []documented
		for _, code := range slices.Sorted(maps.Keys(kinds)) {
			all = append(all, documentedOf(code))
		}
		slices.SortStableFunc(all, func(a, b documented) int { return a.Status - b.Status })
		return show(c, map[string]any{"Title": "Problems", "Problems": all})
	})
	e.GET("/docs/problems/:code", func(c echo.Context) error {
		code := es.Code(c.Param("code"))
		if _, ok := kinds[code]; !ok {
			return NewProblem("route_not_found", "there is no problem %q", code)
		}
		problem := documentedOf(code)
		return show(c, map[string]any{"Title": problem.Title, "Problem": problem})
	})
	return nil
}
