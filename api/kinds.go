package api

import (
	"net/http"

	"github.com/daybook-dev/daybook/kit/es"
)

// kind is what all problems with one code have in common.
type kind struct {
	status int
	title  string
	// text says what it means and what to do, in sentences with code quoted by `.
	text string
}

// kinds has every code that a caller may see. Of any other the status is 409, a conflict of state.
var kinds = map[es.Code]kind{
	"malformed_json": {
		400, "Malformed JSON",
		"The body is no JSON text in UTF-8. `detail` names the byte. Correct the body.",
	},
	"malformed_parameter": {
		400, "Malformed parameter",
		"A parameter of the path, the query or a header is missing, occurs twice or has a value that the document does not allow. `errors` names it.",
	},
	"unknown_parameter": {
		400, "Unknown parameter",
		"The operation has no such query parameter. Nothing is ignored silently: a misspelt filter would select everything.",
	},
	"idempotency_key_required": {
		400, "Idempotency-Key required",
		"Every command needs an `Idempotency-Key` header, so that a repeat takes effect once. Choose a new key for each command and keep it for its repeats.",
	},
	"bad_time": {
		400, "Invalid time",
		"A time, such as `as_of` or `known_at`, is no RFC 3339 time, or lies more than 5 seconds in the future. A `+` in a query has to be written as `%2B`.",
	},
	"bad_cursor": {
		400, "Invalid cursor",
		"The cursor does not belong to this list with these filters. Begin again without it.",
	},
	"bad_range": {
		400, "Invalid range",
		"The range ends before it begins.",
	},
	"not_found": {
		404, "Not found",
		"There is nothing with this id.",
	},
	"not_found_at": {
		404, "Not found at that time",
		"It exists, but did not exist then: at `as_of`, as known at `known_at`, or in that version; of a difference, at `from` or at `to`.",
	},
	"route_not_found": {
		404, "Not found",
		"No operation has this address. The reference lists all of them.",
	},
	"product_not_found": {
		404, "Product not found",
		"There is no product with this SKU.",
	},
	"stock_not_found": {
		404, "Stock not found",
		"No stock was ever received for this SKU.",
	},
	"order_not_found": {
		404, "Order not found",
		"There is no order with this id.",
	},
	"customer_not_found": {
		404, "Customer not found",
		"There is no customer with this id.",
	},
	"host_not_served": {
		421, "Host not served",
		"The `Host` header names none of the names under which this server is called. It protects a server on loopback from pages of other sites. Name the host in `--host-names` if it is yours.",
	},
	"cross_origin": {
		403, "Cross-origin request refused",
		"The request comes from a page of another site.",
	},
	"loopback_only": {
		403, "Served on loopback only",
		"The operation shows what is recorded, and callers give no credentials. Ask a process whose `--admin-listen` is a loopback address, on its machine.",
	},
	"malformed_request": {
		400, "Malformed request",
		"The request is no HTTP request that can be read.",
	},
	"unexpected_body": {
		400, "Unexpected body",
		"The operation takes no body.",
	},
	"headers_too_large": {
		431, "Headers too large",
		"The headers are larger than the server reads.",
	},
	"not_acceptable": {
		406, "Not acceptable",
		"`Accept` allows none of the media types of the answer. `detail` lists them.",
	},
	"method_not_allowed": {
		405, "Method not allowed",
		"The address does not take this method. `Allow` lists those that it takes.",
	},
	"body_too_slow": {
		408, "Request timeout",
		"The body did not arrive in time. Nothing was recorded. Send the request again with the same key.",
	},
	"precondition_failed": {
		412, "Precondition failed",
		"It is at another revision than `If-Match` says: somebody else has changed it. Read it again and decide anew.",
	},
	"body_too_large": {
		413, "Body too large",
		"A body may have 1 MB, and what one command records 256 KiB.",
	},
	"unsupported_encoding": {
		415, "Unsupported content encoding",
		"Send the body as it is, without a `Content-Encoding`.",
	},
	"unsupported_media_type": {
		415, "Unsupported media type",
		"Send `application/json` in UTF-8.",
	},
	"validation": {
		422, "Validation failed",
		"Fields of the body are missing, unknown or not allowed. `errors` names up to 50 of them by JSON pointer.",
	},
	"idempotency_key_reused": {
		422, "Idempotency-Key reused",
		"The key was used with another request. A key belongs to one command: use a new one, or send the first request again unchanged.",
	},
	"card_number_refused": {
		422, "Card number refused",
		"A field holds what looks like the number of a payment card. Card numbers are never recorded. Send the payment provider's token.",
	},
	"unknown_sku": {
		422, "Unknown SKU",
		"A line names a SKU that is no product.",
	},
	"unknown_customer": {
		422, "Unknown customer",
		"The order names a customer that is not recorded.",
	},
	"discontinued": {
		422, "Product discontinued",
		"A line names a product that is no longer sold.",
	},
	"no_price": {
		422, "No price in this currency",
		"A product has no price in the currency of the order.",
	},
	"unknown_currency": {
		422, "Unknown currency",
		"The shop does not sell in this currency.",
	},
	"unknown_region": {
		422, "Region required",
		"The tax depends on the region, and the address names none that is known.",
	},
	"unknown_shipping_method": {
		422, "Unknown shipping method",
		"The shop has no such shipping method.",
	},
	"not_shipped_there": {
		422, "Destination not served",
		"The shipping method does not serve the destination in this currency.",
	},
	"unknown_tax_class": {
		422, "Unknown tax class",
		"The shop has no such tax class. Tax classes are configured under `shop:`.",
	},
	"order_invalid": {
		422, "Invalid order",
		"The order breaks a rule of the shop. `detail` names it.",
	},
	"product_invalid": {
		422, "Invalid product",
		"The product breaks a rule of the shop. `detail` names it.",
	},
	"stock_invalid": {
		422, "Invalid stock",
		"The change of stock breaks a rule. `detail` names it.",
	},
	"customer_invalid": {
		422, "Invalid customer",
		"The customer breaks a rule. `detail` names it.",
	},
	"too_many_streams": {
		429, "Too many event streams",
		"The caller, or all callers together, have as many event streams open as the server serves. Close one, or ask again after `Retry-After`.",
	},
	"request_cancelled": {
		StatusCancelled, "Request cancelled",
		"The caller closed the connection before the answer. It is counted and not sent. A command may have taken effect: repeat it with the same key.",
	},
	"price_changed": {
		409, "Price changed",
		"The total is another one than `expected_total`. `quote` has the present one. Show it and send a new command.",
	},
	"conflict": {
		409, "Concurrent change",
		"Others kept changing it at the same moment. Nothing was recorded. Send the request again.",
	},
	"internal": {
		500, "Internal error",
		"The server could not carry the request out. Its log has the cause under `trace_id`.",
	},
	"unavailable": {
		503, "Unavailable",
		"A part of the system cannot be reached just now. Repeat the request after `Retry-After`, a command with the same key.",
	},
	"not_yet": {
		503, "Read model behind",
		"The read model has not reached `min_position` in time. Ask again after `Retry-After`. An older answer is never given in its place.",
	},
	"rebuilding": {
		503, "Read model rebuilding",
		"The read model is being built. Ask again after `Retry-After`.",
	},
	"row_parked": {
		503, "Row parked",
		"An event could not be applied to this row of the read model, and what came after it waits. An operator has to look at it. Other rows are not affected.",
	},
	"newer_version": {
		503, "Newer program required",
		"An event was recorded by a newer program than this one. `event_type` and `event_version` name it. Update the program. Nothing was recorded.",
	},
	"unreadable_event": {
		503, "Unreadable event",
		"An event in the stream cannot be read by this program. `event_type` names it. Nothing was recorded. An operator has to look at it.",
	},
	"outcome_unknown": {
		504, "Outcome unknown",
		"It could not be learnt whether the command took effect. Repeat it with the same key: it takes effect once.",
	},
	"order_exists": {
		409, "Order exists",
		"An order with this id is recorded. Use another id, or repeat the first request with its own key.",
	},
	"order_differs": {
		409, "Order differs",
		"The order is recorded with other content.",
	},
	"order_closed": {
		409, "Order closed",
		"The order has ended and takes no further change.",
	},
	"order_too_late": {
		409, "Too late for this order",
		"The order has gone too far for this change. `detail` names its state.",
	},
	"product_exists": {
		409, "Product exists",
		"A product with this SKU is recorded. Change it with PATCH.",
	},
	"customer_exists": {
		409, "Customer exists",
		"A customer with this id is recorded.",
	},
	"customer_differs": {
		409, "Customer differs",
		"The customer is recorded with other content.",
	},
	"receipt_differs": {
		409, "Receipt differs",
		"A receipt with this id is recorded with another quantity. Use another id for another receipt.",
	},
	"not_enough_stock": {
		409, "Not enough stock",
		"The change would take more units than are available.",
	},
}

// StatusCancelled is counted where the caller has closed the connection before its answer, so that this is no error of the server. RFC
// 9110 has none; 499 is what nginx logs.
const StatusCancelled = 499

func kindOf(code es.Code) kind {
	if k, ok := kinds[code]; ok {
		return k
	}
	return kind{status: http.StatusConflict, title: "Conflict with the current state"}
}
