"""What Schemathesis cannot take from openapi.yaml.

Every check of Schemathesis runs. Two of them judge an answer by its status alone; here they also look at the problem's code, because
some refusals depend on more than one request's schema can speak of: on what was recorded before, or on the clock.
"""

import re
import time
import uuid

import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure
from schemathesis.specs.openapi.checks import positive_data_acceptance

# Codes of refusals of valid requests, and why the schema of the request cannot rule them out.
DEPENDS_ON_MORE = {
    "bad_cursor": "a cursor is one that a page of the same filter gave",
    "bad_range": "the end is compared with the begin",
    "card_number_refused": "a check digit is no pattern",
    "discontinued": "the product's state",
    "idempotency_key_reused": "what the key was used for before",
    "no_price": "the product's prices",
    "not_shipped_there": "the shop's configuration",
    "precondition_failed": "the revision",
    "unknown_currency": "the shop's configuration",
    "unknown_customer": "the customers",
    "unknown_region": "the shop's configuration",
    "unknown_shipping_method": "the shop's configuration",
    "unknown_sku": "the products",
    "unknown_tax_class": "the shop's configuration",
}

# The same of single fields, where the problem's code says too little.
FIELD_DEPENDS_ON_MORE = {
    ("bad_time", "future"): "the clock",
    ("malformed_parameter", "card_number"): "a check digit is no pattern",
    ("malformed_parameter", "either"): "two parameters exclude each other",
    ("malformed_parameter", "utf8"): "a header has bytes, its schema characters",
    ("validation", "card_number"): "a check digit is no pattern",
}


def depends_on_more(response):
    try:
        problem = response.json()
    except ValueError:
        return False
    errors = problem.get("errors", [])
    return problem.get("code") in DEPENDS_ON_MORE or bool(errors) and all(
        (problem["code"], error["code"]) in FIELD_DEPENDS_ON_MORE for error in errors
    )


def not_of_its_pattern(case):
    """Whether a header that is called valid is not: 0 is what is sent where no value of a pattern was found."""
    for parameter in case.operation.headers:
        definition = parameter.definition
        pattern = definition.get("schema", {}).get("pattern")
        sent = (case.headers or {}).get(definition["name"])
        if pattern and sent == "0" and not re.search(pattern, sent):
            return True
    return False


@schemathesis.check
def valid_data_is_accepted(ctx, response, case):
    """positive_data_acceptance, unless the refusal depends on more than the request."""
    try:
        return positive_data_acceptance(ctx, response, case)
    except Failure:
        if depends_on_more(response) or not_of_its_pattern(case):
            return None
        raise


@schemathesis.check
def no_server_error(ctx, response, case):
    """not_a_server_error, unless the request asks for a position that is not written yet."""
    if response.status_code == 503 and "min_position" in (case.query or {}) and response.json().get("code") == "not_yet":
        return None
    return not_a_server_error(ctx, response, case)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Half of the valid orders are for what the test has in stock, so that some are placed; a stream is read for its first event.

    Coverage has the same headers in all of its requests, where it is not about them. With a key that was used before, or with an
    If-Match that it found no value for, each would be refused whatever else is right or wrong with it.
    """
    about = getattr(case.meta.phase.data, "parameter", None) if case.meta else None
    if case.headers and about != "If-Match" and case.headers.get("If-Match") == "0":
        del case.headers["If-Match"]
    if case.headers and case.headers.get("Idempotency-Key") in ("0", '"0"'):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    operation = case.operation.definition.raw.get("operationId")
    if operation == "placeOrder" and case.meta and case.meta.generation.mode.is_positive and isinstance(case.body, dict):
        if len(repr(case.body)) % 2 and case.body.get("lines"):
            case.body["currency"] = "GBP"
            case.body["shipping_method"] = "standard"
            case.body["ship_to"]["country"] = "GB"
            case.body["customer"] = {"email": "bo@example.com"}
            case.body["payment"]["token"] = "tok_approve"
            case.body["lines"] = [{"sku": "MUG", "quantity": 1 + len(case.body["lines"]) % 3}]
            case.body.pop("expected_total", None)
    if operation == "streamOrderEvents":
        kwargs.setdefault("hooks", {})["response"] = first_event


def first_event(response, **_):
    """Reads a stream up to the end of its first event or comment, instead of for as long as the server sends."""
    if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
        return
    read, until = b"", time.monotonic() + 20
    for piece in response.iter_content(None):
        read += piece
        if b"\n\n" in read or time.monotonic() > until:
            break
    response.close()
    response._content = read  # noqa: SLF001 # what requests itself would have put there at the stream's end
