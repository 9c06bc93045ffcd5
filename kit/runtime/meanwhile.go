package runtime

import (
	"log/slog"
	"time"
)

// stillEvery is how often a step that takes long is mentioned again.
const stillEvery = 5 * time.Second

// meanwhile logs that a step begins, every few seconds that it is still under way, and, when done is called after a second or more,
// how long it took.
func meanwhile(log *slog.Logger, step string) (done func()) {
	began, ended := time.Now(), make(chan struct{})
	log.Info(step)
	go func() {
		still := time.NewTicker(stillEvery)
		defer still.Stop()
		for {
			select {
			case <-still.C:
				log.Info("still "+step, "seconds", int(time.Since(began).Seconds()))
			case <-ended:
				return
			}
		}
	}()
	return func() {
		close(ended)
		if took := time.Since(began); took >= time.Second {
			log.Info("done "+step, "seconds", int(took.Seconds()))
		}
	}
}
