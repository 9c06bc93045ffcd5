// Package pgserver runs a real Postgres for a program that was given none.
//
//	Start ──▶ lock the directory ──▶ find binaries ──▶ initdb aside, rename ──▶ take over │ start ──▶ ready
//	             │ held: ErrInUse                                                        ▲             │ died
//	             ▼                                                                       └── again ◀───┘
//	          refused                                              Close: fast shutdown, from any state
//
// What holds:
//
//   - One process looks after a directory at a time: an flock, which the kernel frees however that process ends.
//   - The data of a major version is in data-<major>, whole or not at all, and is never deleted or passed over: where
//     there is data, only binaries of its version run. It holds the one thing that the log cannot give back, the keys of
//     personal data.
//   - Postgres listens on loopback only, over TCP only, and asks for a password that is made at random.
//   - It does not outlive us: the kernel ends it when we die (Linux). One that runs all the same is taken over, with
//     the address it has. What a killed one leaves behind (its pid file, backends that still finish a query) is waited
//     out or put aside; nothing that protects the data is switched off for it.
//   - It does not die alone: it is started again at the same address. Pools reconnect by themselves.
//   - Only the supervisor connects as superuser. The database and all that is in it belong to a role without any such attribute,
//     at each start anew: also what was made by a superuser, in a directory of an older program or since.
//   - As root it runs as user postgres, else nobody.
//
// Binaries come from $PG_BIN, from where packages put them, or from a build whose digest is pinned here. That build is
// fetched by way of github.com/fergusstrange/embedded-postgres, which knows where builds are published; nothing of it is
// unpacked or run before its digest was checked.
package pgserver
