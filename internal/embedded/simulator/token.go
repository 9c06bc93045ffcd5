package simulator

import (
	"strconv"
	"strings"
	"time"
)

// behaviour is what a token asks for.
type behaviour struct {
	decline   string        // code
	after     time.Duration // work that long before anything is in the ledger
	late      time.Duration // processing for that long
	action    bool
	silent    bool // no answer
	uncharged bool // and no charge
	excess    int64
	failVoids int
}

const longest = 24 * time.Hour // that a token can ask for

// Codes of a declined operation.
const (
	insufficientFunds = "insufficient_funds"
	unknownToken      = "unknown_token"
	cancelled         = "cancelled"
	actionFailed      = "authentication_failed"
	voidFailed        = "void_failed"
)

// detail says for people what a code means.
func detail(code string) string {
	switch code {
	case insufficientFunds:
		return "The card has insufficient funds."
	case unknownToken:
		return "The payment token is not known."
	case cancelled:
		return "The payment was cancelled before the buyer had confirmed it."
	case actionFailed:
		return "The buyer could not be authenticated."
	case voidFailed:
		return "The authorisation could not be given back just now."
	}
	return ""
}

func behaviourOf(token string) behaviour {
	switch token {
	case "tok_approve", "tok_capture_fails", "tok_refund_fails", "tok_refund_reversed":
		return behaviour{}
	case "tok_decline", "tok_decline_once":
		return behaviour{decline: insufficientFunds}
	case "tok_action":
		return behaviour{action: true}
	case "tok_silent":
		return behaviour{silent: true, uncharged: true}
	case "tok_silent_approved":
		return behaviour{silent: true}
	case "tok_wrong_amount":
		return behaviour{excess: 1}
	case "tok_void_fails_once":
		return behaviour{failVoids: 1}
	}
	if d, ok := counted(token, "tok_slow_", time.Millisecond); ok {
		return behaviour{after: d}
	}
	if d, ok := counted(token, "tok_late_", time.Second); ok {
		return behaviour{late: d}
	}
	if _, ok := counted(token, "tok_expires_", time.Second); ok {
		return behaviour{}
	}
	return behaviour{decline: unknownToken}
}

func counted(token, prefix string, unit time.Duration) (time.Duration, bool) {
	digits, ok := strings.CutPrefix(token, prefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	d := time.Duration(n) * unit
	return d, err == nil && d <= longest
}
