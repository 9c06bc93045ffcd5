package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/daybook-dev/daybook/internal/app"
)

func importCommand() *cobra.Command {
	group := &cobra.Command{Use: "import", Short: "Take over the history of another system"}
	var asJSON bool
	var rejects string
	cmd := &cobra.Command{
		Use: "online-retail FILE", Short: "Record a file of the Online Retail data set as orders, stock, money and returns", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, log, err := loadQuietly(cmd)
			if err != nil {
				return err
			}
			show, done := progress(cmd.ErrOrStderr())
			summary, err := app.ImportOnlineRetail(cmd.Context(), cfg, version, log, args[0], rejects, show)
			done()
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(summary)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), summary.String())
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the summary as JSON")
	cmd.Flags().StringVar(&rejects, "rejects", "", "file for the lines left out; default: in the data directory")
	group.AddCommand(cmd)
	return group
}

// progress draws a bar on a terminal and writes JSON lines elsewhere, ten a second at most.
func progress(w io.Writer) (show func(done, of int), end func()) {
	began := time.Now()
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return bar(w)
		}
	}
	var last time.Time
	lines := make(chan struct{}, 1)
	lines <- struct{}{}
	return func(done, of int) {
		select {
		case <-lines:
			defer func() { lines <- struct{}{} }()
		default:
			return // somebody else is writing one
		}
		if now := time.Now(); now.Sub(last) >= 100*time.Millisecond || done == of {
			last = now
			rate := float64(done) / now.Sub(began).Seconds()
			fmt.Fprintf(w, `{"done":%d,"of":%d,"per_second":%.0f,"eta_seconds":%.0f}`+"\n", done, of, rate, float64(of-done)/max(rate, 1))
		}
	}, func() {}
}

func bar(w io.Writer) (show func(done, of int), end func()) {
	p := mpb.New(mpb.WithOutput(w))
	b := p.AddBar(0,
		mpb.PrependDecorators(decor.Name("recording "), decor.CountersNoUnit("%d / %d")),
		mpb.AppendDecorators(decor.Percentage(), decor.Name("  "), decor.AverageSpeed(0, "%.0f/s"), decor.Name("  ETA "), decor.AverageETA(decor.ET_STYLE_GO)))
	return func(done, of int) {
			b.SetTotal(int64(of), false)
			b.SetCurrent(int64(done))
			if done == of {
				b.SetTotal(int64(of), true)
			}
		}, func() {
			if !b.Completed() {
				b.Abort(false) // as far as it has come
			}
			p.Wait()
		}
}
