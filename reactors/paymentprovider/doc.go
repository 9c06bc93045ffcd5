// Package paymentprovider carries what orders ask of a payment provider to it, and what it answers back into events.
//
//	payment.authorisation_requested ─┐                 ┌─▶ payment.authorised, .declined, .action_required
//	payment.void_requested ──────────┴─▶ Provider ─────┴─▶ payment.void_succeeded, .void_failed, .outcome_unknown
//
// An open authorisation, and what is asked next:
//
//	send ──▶ approved, declined ─▶ reported, done
//	  │ └──▶ action required ────▶ reported; look up until the buyer is through, or the attempt is voided
//	  ▼
//	unknown: reported once. Look up, and if that finds nothing send the very same again under its key; look up at once if
//	  │ that is silent too
//	  │ found in progress ───────▶ look up, until it is not
//	  ▼ not found, Repeats times, or the intent is older than RepeatWithin
//	look up only: nothing is sent any more
//	  ▼ not found from NotFoundAfter after the last send on, twice, NotFoundAfter apart
//	declined not_found, and looked up for WatchFor more: money that turns up is reported, and voided
//
// # What holds
//
// Before every call the payment's stream is folded: an intent with an outcome is not called again. The request is the
// intent's and nothing else, so every repeat is the same request; its key is the effect id, which is also in the provider's
// metadata. A key is not used after RepeatWithin (20 h, providers forget at 24 h), counted from the intent's recorded time:
// the key cannot have been used before. From then on the provider is asked what it knows.
// Once nothing is to be sent any more, nothing ever is: age and lost requests only grow. A crash that loses when that began
// makes it begin later, so a look that counts is never followed by a send.
//
// Only the provider's own words are an outcome. No answer, a time-out, "in progress", a 5xx, an answer that cannot be read:
// all of them leave the attempt unknown, and until it is known nothing is charged again and no stock released.
// Outcomes are reported as they are, also late ones and those of another amount: payment.Report decides what they mean.
// A report's command id is a function of intent and outcome, so reporting twice is one event.
//
// A void waits until its attempt's own outcome is known; the event that tells it wakes the void. Voids take no money, so
// they are repeated until the provider has an outcome, after RepeatWithin too (looking first).
//
// The token is opened here, for the call, and nowhere else in the program; it is in no log and no error.
// Breakers are set aside: a provider that is down costs each open attempt two calls every 30 s.
package paymentprovider
