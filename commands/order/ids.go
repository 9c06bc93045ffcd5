package order

import (
	"encoding/base32"
	"strconv"
)

var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// IDFrom is the id of an order whose caller named none. What it is made of is a function of the command, so that a repeat finds the
// same order, and a secret, so that others cannot compute it.
func IDFrom(chosen []byte) string { return crockford.EncodeToString(chosen[:16]) }

// FirstReservation is the reservation of a line that its order names: that of the first attempt. Others are numbered by their process.
func FirstReservation(orderID string, line int) string { return ReservationID(orderID, line, 1) }

// ReservationID is of the stock set aside for a line. Another attempt is another reservation.
func ReservationID(orderID string, line, attempt int) string {
	return orderID + "/" + strconv.Itoa(line) + "/" + strconv.Itoa(attempt)
}
