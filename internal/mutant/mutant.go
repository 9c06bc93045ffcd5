// Package mutant names bugs that are kept on purpose, so that the tests can be tested: each breaks one promise in one place,
// and a named test must notice.
//
// In an ordinary build On is a constant false, and the compiler leaves the bug out. A build with the tag mutant has them all,
// asleep; DAYBOOK_MUTANT=<name> wakes one for the whole process. A name that there is not ends the process.
//
// Which test catches which is a table in caught_test.go; make mutants runs it.
package mutant

// Name is one deliberate bug.
type Name string

// What design/testing.md asks for, in the order of an event's way.
const (
	FsyncSkipped             Name = "fsync-skipped"              // store: a group commit is written and not synced
	VisibleBeforeSynced      Name = "visible-before-synced"      // store: readers see a batch before it is on the disk
	AcknowledgedBeforeAppend Name = "acknowledged-before-append" // kernel: callers are answered, then their events are appended
	CheckpointApart          Name = "checkpoint-apart"           // projections: checkpoints are committed, then their rows
	DuplicateCheckDropped    Name = "duplicate-check-dropped"    // feed: a message that was applied is applied again
	GapIgnored               Name = "gap-ignored"                // feed: a message is applied though the one before it is missing
	PrevWrong                Name = "ce_prev-wrong"              // relay: ce_prev is what is acknowledged, not what was read
	UndoNotRecorded          Name = "undo-not-recorded"          // stock: a release of nothing leaves no event
	EffectLostAtCrash        Name = "effect-lost-at-crash"       // sagas: the checkpoint moves without what is waited for
	StaleRejection           Name = "stale-rejection"            // kernel: a command is refused on a state read before it came
	AttemptMissing           Name = "attempt-missing"            // kernel: every attempt of an effect has the same id
	CompensationForgotten    Name = "compensation-forgotten"     // sagas: only what is known to be done is undone
	AnsweredBeforeSynced     Name = "answered-before-synced"     // store: clients hear of a batch before it is on the disk
	UnsyncedHeadsShown       Name = "unsynced-heads-shown"       // store: a stream's end is shown before it is on the disk
)

// All is every name.
func All() []Name {
	return []Name{
		FsyncSkipped, VisibleBeforeSynced, AcknowledgedBeforeAppend, CheckpointApart, DuplicateCheckDropped, GapIgnored, PrevWrong,
		UndoNotRecorded, EffectLostAtCrash, StaleRejection, AttemptMissing, CompensationForgotten, AnsweredBeforeSynced, UnsyncedHeadsShown,
	}
}
