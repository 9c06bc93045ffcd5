// Package failure says what kind of failure keeps a consumer from going on, so that an engine can decide and the feed can show.
//
//   - Event: one event cannot be processed, and trying again does not help while program and rows are as they are. It names the event, who
//     failed at it, and the row if there is one. The unit that can be set aside is this one.
//   - Outage: a server is away. Nothing is wrong with any event; all that helps is to wait.
//
// Both are found with errors.As through whatever wraps them. Any other error is of neither kind: it is tried again, and shown as it is.
package failure
