package api

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/kit/es"
)

func documentation(t *testing.T) func(path string) *httptest.ResponseRecorder {
	t.Helper()
	e := NewEcho(slog.New(slog.DiscardHandler))
	if err := docs(e); err != nil {
		t.Fatal(err)
	}
	return func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), echo.GET, path, nil))
		return w
	}
}

// Every problem has a page that says what it means, and the list leads to it.
func TestEveryProblemHasAPage(t *testing.T) {
	get := documentation(t)
	list := get("/docs/problems").Body.String()
	for code, k := range kinds {
		if !strings.HasSuffix(k.text, ".") || strings.Count(k.text, "`")%2 != 0 {
			t.Errorf("%s: %q", code, k.text)
		}
		path := "/docs/problems/" + string(code)
		w := get(path)
		if w.Code != 200 || !strings.Contains(w.Body.String(), "<h1>"+k.title+"</h1>") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if !strings.Contains(list, `href="`+path+`"`) {
			t.Errorf("the list lacks %s", path)
		}
	}
	if w := get("/docs/problems/no_such_problem"); w.Code != 404 || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// The pages are served from this program alone, and the reference shows the document of this program.
func TestTheReferenceNeedsNoInternet(t *testing.T) {
	get := documentation(t)
	w := get("/docs/")
	text := w.Body.String()
	if w.Code != 200 || !strings.Contains(text, "/openapi.yaml") {
		t.Fatalf("%d %s", w.Code, text)
	}
	assets := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(text, -1)
	if len(assets) < 3 {
		t.Errorf("it has the assets %v", assets)
	}
	for _, a := range assets {
		if !strings.HasPrefix(a[1], "/docs/") {
			t.Errorf("%s is not ours", a[1])
			continue
		}
		if w := get(a[1]); w.Code != 200 || w.Body.Len() == 0 {
			t.Errorf("%s: %d, %d bytes", a[1], w.Code, w.Body.Len())
		}
	}
	var doc struct {
		OpenAPI string
		Paths   map[string]any
	}
	if err := json.Unmarshal(get("/openapi.json").Body.Bytes(), &doc); err != nil || !strings.HasPrefix(doc.OpenAPI, "3.1") || len(doc.Paths) == 0 {
		t.Errorf("%+v %v", doc, err)
	}
}

// unseen are codes of commands that no operation of the API sends, and codes of a fault within a validation problem.
var unseen = map[es.Code]bool{
	"lease_exhausted": true, "import_invalid": true, "import_not_begun": true, "order_not_cancelling": true, "return_differs": true,
	"return_exceeds_delivered": true, "payment_invalid": true, "payment_differs": true, "payment_attempt_not_found": true,
	"refund_exceeds_payment": true, "restock_differs": true, "reservation_differs": true, "not_reserved": true,
	"quantity": true, "amount": true, "no_lines": true, "discount_above_goods": true,
}

// A code that is added to a command is documented, or named as unseen.
func TestEveryCodeOfACommandIsDocumented(t *testing.T) {
	found := map[es.Code]bool{}
	err := fs.WalkDir(os.DirFS("../commands"), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), "../commands/"+path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if of, ok := spec.Type.(*ast.SelectorExpr); ok && of.Sel.Name == "Code" {
				for _, v := range spec.Values {
					code, err := strconv.Unquote(v.(*ast.BasicLit).Value)
					if err != nil {
						t.Error(err)
					}
					found[es.Code(code)] = true
				}
			}
			return true
		})
		return nil
	})
	if err != nil || len(found) < 30 {
		t.Fatalf("%d codes: %v", len(found), err)
	}
	for code := range found {
		if _, documented := kinds[code]; documented == unseen[code] {
			t.Errorf("%s: documented %t, named as unseen %t", code, documented, unseen[code])
		}
	}
	for code := range unseen {
		if !found[code] {
			t.Errorf("no command has the code %s", code)
		}
	}
}
