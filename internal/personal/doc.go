// Package personal seals personal data and opens it again, under one key per subject.
//
//	plaintext ──seal──▶ es.Sealed ── events, saga inputs, rows, Kafka ──▶ es.Sealed ──open──▶ plaintext
//	              ▲                                                                    ▲
//	              └──── data key of the subject, daybook.personal_key, wrapped ────────┘
//	                                          ▲
//	                    key-encryption key, a file outside Postgres
//
//	absent ──first seal──▶ live ──erased──▶ erased, finally: the row stays, the key does not
//
// The cipher is AES-256-GCM with a random nonce. What a value was sealed for, its subject, key id, stream, event type and
// field, is its additional authenticated data and travels with it: the whole value may be copied from event to event to
// row, but a ciphertext under another heading does not open.
//
// What holds:
//
//   - A key is in Postgres, synced, before anything is sealed with it, and is then read back: two processes that seal for
//     one new subject at once use one key. Those who need new keys at the same time share the transaction.
//   - A key is in memory for at most 30 s after it was read, so 30 s after an erasure no process opens or seals with it.
//   - An erased subject is never given another key, and former ones are destroyed with its key.
//   - A process whose key-encryption keys are not those of this Postgres does not start. To change the key: give every
//     process both, the old one first; then the new one first; call Rotate; take the old one away.
//   - Where the key-encryption key is lost, the keys that it wraps are set aside (SetAside), never destroyed. They open again when it
//     is given again, below the new one.
//
// Keys are the one thing in Postgres that cannot be made again from the log. They need a backup of their own, and that
// backup needs the key-encryption key, which is not in it.
package personal
