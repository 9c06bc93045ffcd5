// Package app is the shop as a domain of kit/runtime: its configuration, its roles, its API, the payment provider, and the commands
// beside them. What any domain needs lies in kit/runtime, which the shop enters by the same door as everybody else.
package app
