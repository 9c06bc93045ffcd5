package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/go-viper/mapstructure/v2"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/kit/runtime"
)

// readShop puts what a file says of the shop over the default: a setting given replaces the default's whole.
func readShop(given map[string]any, over order.Shop) (order.Shop, error) {
	for name := range given {
		switch name {
		case "currencies":
			over.Currencies = nil
		case "tax":
			over.Tax = nil
		case "shipping":
			over.Shipping = nil
		}
	}
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result: &over, TagName: "koanf", ErrorUnused: true, DecodeHook: whole,
		MatchName: func(key, field string) bool { return key == field },
	})
	if err != nil {
		return over, fmt.Errorf("decoder: %w", err)
	}
	if err := decoder.Decode(given); err != nil {
		return over, err
	}
	return over, nil
}

// whole keeps what is not a whole number from being cut to one.
func whole(from, to reflect.Kind, v any) (any, error) {
	if from == reflect.Float64 && to == reflect.Int64 {
		return nil, fmt.Errorf("%v is no whole number in digits", v)
	}
	if v == nil {
		return nil, errors.New("there is no value")
	}
	return v, nil
}

// shopSettings shows the shop's settings with their source.
func shopSettings(s order.Shop, given map[string]any, path string) []runtime.Value {
	var out []runtime.Value
	for _, field := range []struct {
		name  string
		value any
	}{
		{"currencies", s.Currencies}, {"time_zone", s.TimeZone}, {"prices_include_tax", s.PricesIncludeTax}, {"tax", s.Tax}, {"shipping", s.Shipping},
	} {
		from := "default"
		if _, ok := given[field.name]; ok {
			from = "file " + path
		}
		b, err := json.Marshal(field.value)
		if err != nil { // strings, numbers and maps of them
			panic(err)
		}
		out = append(out, runtime.Value{Name: "shop." + field.name, Value: string(b), From: from})
	}
	return out
}
