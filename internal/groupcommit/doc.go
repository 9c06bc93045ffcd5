// Package groupcommit lets many who write at the same time share transactions: one is under way, and the next takes along all that have
// queued meanwhile. A quiet system writes each item at once, a busy one writes many with one commit.
//
//   - Items are written in the order in which they came, up to a bound on the size of one batch. A larger item goes alone.
//   - None suffers for another: if a batch fails, its items are written one by one, and each gets its own error.
//   - Who has gone before their turn is not written. A batch under way ends when all have gone who wait for it.
//   - A second batch may go beside one that takes long, as behind a lock.
//
// The kernel's lanes (kit/es) are apart: they decide on a state, and use the standard library only.
package groupcommit
