package api

import (
	"reflect"

	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/kit/text"
)

// cleaned makes every text of a body clean before its operation sees it. The digest is of what was sent, so a repeat that
// differs in blanks is another request.
func cleaned(next openapi.StrictHandlerFunc, _ string) openapi.StrictHandlerFunc {
	return func(c echo.Context, request any) (any, error) {
		v := reflect.ValueOf(&request).Elem().Elem()
		if body := v.FieldByName("Body"); body.IsValid() {
			clean(body)
		}
		return next(c, request)
	}
}

// clean walks to all texts that v leads to. Names of members are not texts.
func clean(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			clean(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			clean(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			clean(v.Index(i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			member := reflect.New(v.Type().Elem()).Elem()
			member.Set(v.MapIndex(k))
			clean(member)
			v.SetMapIndex(k, member)
		}
	case reflect.String:
		if v.CanSet() {
			v.SetString(text.Clean(v.String()))
		}
	}
}
