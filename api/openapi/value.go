package openapi

import "encoding/json"

// FieldValue is a value of any field, as JSON; nil is left out, which null is not.
type FieldValue = json.RawMessage
