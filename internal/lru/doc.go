// Package lru keeps values by key within a budget of bytes: those in use, and of the others the ones used last.
//
// A value is taken and left again. While it is in use it stays, whatever it weighs: two values of one key would work against each other.
// When the last one that uses it leaves, and together the values weigh more than the budget, those not in use leave the cache, the least
// recently used first. A value that has left is made anew when it is taken again.
//
// The cache does not measure: its owner says what a value weighs, whenever that changes. The kernel keeps the lanes of its
// streams here, and the orchestrator the instances of sagas. The package imports the standard library only, as the kernel does.
package lru
