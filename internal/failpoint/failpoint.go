// Package failpoint names the moments at which a crash hurts most, so that tests can kill the process there.
// In an ordinary build Hit is nothing; with the build tag failpoint, DAYBOOK_FAILPOINT="name" or "name:n"
// ends the process with SIGKILL when the name is hit for the n-th time (default the first), and "name:n:interrupt" sends it SIGINT;
// DAYBOOK_FAILPOINT_FILE names a file that says so, for a process that runs already.
package failpoint

// Name is a moment along an order's way.
type Name string

const (
	AppendBefore           Name = "append.before" // esclient, about to send
	AppendAfter            Name = "append.after"  // esclient, answer received
	AckBefore              Name = "ack.before"    // command API, about to answer
	AckAfter               Name = "ack.after"
	PublishBefore          Name = "relay.publish.before"
	PublishAfter           Name = "relay.publish.after"
	RelayCheckpointAfter   Name = "relay.checkpoint.after"
	ProjectorBefore        Name = "projector.commit.before" // rows folded, nothing committed
	ProjectorAfter         Name = "projector.commit.after"
	SagaEventBefore        Name = "saga.event.before" // stepped, not stored
	SagaEventAfter         Name = "saga.event.after"
	SagaWaitingBefore      Name = "saga.waiting.before" // waiting rows and checkpoint written, not committed
	SagaWaitingAfter       Name = "saga.waiting.after"
	EffectBefore           Name = "saga.effect.before"
	EffectAfter            Name = "saga.effect.after"
	UndoBefore             Name = "saga.undo.before"
	UndoAfter              Name = "saga.undo.after"
	ProviderCallBefore     Name = "payment.call.before"
	ProviderCallAfter      Name = "payment.call.after"    // answered, outcome not recorded
	OutcomeAfter           Name = "reactor.outcome.after" // recorded, the row is still there
	ReactorWaitingBefore   Name = "reactor.waiting.before"
	ReactorWaitingAfter    Name = "reactor.waiting.after"
	SimulatorChargeAfter   Name = "simulator.charge.after" // in the ledger, not answered
	StoreBatchBeforeSync   Name = "eventserver.sync.before"
	StoreBatchBeforeAnswer Name = "eventserver.answer.before"
	RecoverPasswordDuring  Name = "recover.password.during" // the process that sets it runs
	RecoverPasswordAfter   Name = "recover.password.after"
	RecoverSecretsAfter    Name = "recover.secrets.after" // taken, not committed
	RecoverNumbersAfter    Name = "recover.numbers.after"
	RecoverTopicAfter      Name = "recover.topic.after"
	RecoverCommitBefore    Name = "recover.commit.before"
	RecoverCommitAfter     Name = "recover.commit.after"
)

// Recovery is where `daybook recover` can be killed.
func Recovery() []Name {
	return []Name{RecoverNumbersAfter, RecoverTopicAfter, RecoverCommitBefore, RecoverCommitAfter}
}

// All is every moment along an order's way, for tests that try each.
func All() []Name {
	return []Name{
		AppendBefore, AppendAfter, AckBefore, AckAfter, PublishBefore, PublishAfter, RelayCheckpointAfter,
		ProjectorBefore, ProjectorAfter, SagaEventBefore, SagaEventAfter, SagaWaitingBefore, SagaWaitingAfter,
		EffectBefore, EffectAfter, UndoBefore, UndoAfter, ProviderCallBefore, ProviderCallAfter, OutcomeAfter,
		ReactorWaitingBefore, ReactorWaitingAfter, SimulatorChargeAfter, StoreBatchBeforeSync, StoreBatchBeforeAnswer,
	}
}
