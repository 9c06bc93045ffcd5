// Package simulator is a payment provider of our own: an HTTP server with a durable ledger, one per system. It is
// in the place of a real provider, so it is as awkward as one: it forgets to answer, answers late, and knows afterwards
// what it did.
//
//	POST /simulator/v1/charges                  authorise   {amount, currency, token, metadata}
//	POST /simulator/v1/charges/{charge}/void    void        {metadata}
//	POST /simulator/v1/charges/{charge}/capture capture     {amount, currency, metadata}
//	POST /simulator/v1/charges/{charge}/refund  refund      {amount, currency, metadata}
//	GET  /simulator/v1/operations?effect=ID     lookup: what is known of an effect id, oldest first; none = not found
//	GET  /simulator/v1/charges                  the ledger; order=, effect=, reference=, status=, after=, limit= narrow it
//	POST /simulator/v1/actions/{attempt}        completes a 3-D Secure action: {"result": "approve"} (or no body) or
//	                                            {"result": "fail"}; attempt = the charge's id, or its effect id
//
// Every POST to charges carries an Idempotency-Key header and metadata {order_id, effect_id, attempt}. The answer is
// {id, kind, effect_id, result, code, detail, amount, currency, ...}; result is approved (200), declined (402),
// action_required or processing (202). Errors are {error: {code, message}}.
//
// # Keys
//
// A key is remembered for 24 hours (Config.KeyLifetime) with a fingerprint of its request. The same key with the same
// request gives the stored answer, with another request 422 idempotency_key_reused, and while the first is still
// at work 409 idempotency_in_progress. After its lifetime a key is unknown, and the same request charges again:
// a caller that may have sent one long ago has to look it up.
//
// # Tokens
//
// What each of four questions gives, for an authorisation:
//
//	token               first call             repeat, same key        lookup                     callback, later
//	tok_approve         approved               charge.authorised
//	tok_decline         declined, of code      declined                charge.declined
//	                    insufficient_funds
//	tok_decline_once    as tok_decline until charge attempts are built                            charge.declined
//	tok_action          action_required + URL  action_required, for    action_required; after     as the action ends
//	                                           ever: it is stored      the action its result
//	tok_slow_MS         approved after MS ms   in progress, then       not found, then approved   charge.authorised
//	                                           approved
//	tok_silent          no answer, no charge   no answer               not found, always          none
//	tok_silent_approved no answer, charged     no answer               approved                   charge.authorised
//	tok_late_S          processing             processing, approved    processing, approved       charge.authorised
//	                                           from S s on             from S s on                after S s
//	tok_wrong_amount    approved, of 1 more    the same                the same                   the same
//	                    than was asked for
//	tok_void_fails_once approved; its first void is answered declined void_failed, always under that key; a void
//	                    under any other key is approved                                           charge.authorised
//	tok_expires_S, tok_capture_fails, tok_refund_fails, tok_refund_reversed: as tok_approve until captures are built
//	anything else       declined unknown_token the same                the same                   none
//
// Callbacks are not sent yet. A void of a charge that awaits its action cancels it: the authorisation is then
// declined with code cancelled. A void of nothing (declined, voided already) is approved, of amount 0.
// An authorisation lasts 7 days by its expires_at; nothing expires yet.
//
// # The ledger
//
// One file, ledger.jsonl, of batches: a CRC-32C in hex, a space, JSON, a newline. A change is written and synced before
// it is answered or can be seen by any other request, so kill -9 or a power cut takes nothing back that was answered.
// What a crash can leave is one unsynced batch at the end, damaged or not: if its checksum is right it counts, else it
// is cut off at the next start. Damage anywhere else refuses to start. After a failed write or sync the server stops
// (Done, Err): what is on disk is then only known by reading it again.
// In memory is an index of the file, some 100 bytes for each charge, which suits a simulator and no provider.
package simulator
