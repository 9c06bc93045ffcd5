// Command hotel is the hotel, with an event store, a Kafka and a Postgres beside it, unless their addresses are given. `hotel doctor`
// examines all of them.
package main

import (
	"example.com/hotel"
	"github.com/daybook-dev/daybook/kit/runtime"
)

func main() { runtime.Main("hotel", hotel.Domain()) }
