package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybook-dev/daybook/imports/onlineretail"
	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/demo"
	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/runtime"
)

// demoEnd is the demo's report with the doctor's.
type demoEnd struct {
	*demo.Report

	Doctor *doctor.Report `json:"doctor,omitempty"`
}

type demoOptions struct {
	orders         int
	rate           float64
	run, api       string
	patience       time.Duration
	shared, asJSON bool
	noDoctor       bool
}

func demoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use: "demo FILE", Short: "Place a file's first invoices as new orders through the API, and see them to their end",
		Long: "Places the first invoices of an Online Retail file as new orders, in an open loop, through the API of the running system\n" +
			"(run.json, or --api); if none runs, of one that runs as long as it takes. Most payments are approved, some are declined,\n" +
			"slow, unanswered or late, and a little too little of the goods is there. Then it checks what the API says of every order,\n" +
			"and lets the doctor check the invariants.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runDemo(cmd, args[0], o) },
	}
	f := cmd.Flags()
	f.IntVar(&o.orders, "orders", 500, "how many invoices")
	f.Float64Var(&o.rate, "rate", 20, "orders a second")
	f.StringVar(&o.run, "run", "", "name of this run, in the orders' ids; the same name again repeats and changes nothing (default: by the time)")
	f.StringVar(&o.api, "api", "", "base URL of the API, if it is not in run.json")
	f.DurationVar(&o.patience, "patience", 2*time.Minute, "how long after the last was due all orders must have ended")
	f.BoolVar(&o.shared, "shared", false, "others trade in the same goods meanwhile: do not compare the shelves")
	f.BoolVar(&o.noDoctor, "no-doctor", false, "check only what the API says")
	f.BoolVar(&o.asJSON, "json", false, "print the report as JSON")
	return cmd
}

func runDemo(cmd *cobra.Command, file string, o demoOptions) error {
	ctx := cmd.Context()
	cfg, log, err := loadQuietly(cmd)
	if err != nil {
		return err
	}
	if o.run == "" {
		o.run = strconv.FormatInt(time.Now().UnixMilli(), 36)
	}
	plan, err := planOf(file, o)
	if err != nil {
		return err
	}
	at, release, err := runningAPI(ctx, cfg, o.api, log)
	if err != nil {
		return err
	}
	show, done := demoProgress(cmd.ErrOrStderr())
	var end demoEnd
	end.Report, err = demo.Run(ctx, demo.Config{API: at, Plan: plan, Rate: o.rate, Patience: o.patience, Shared: o.shared, Progress: show})
	done()
	if err == nil && !o.noDoctor {
		end.Doctor, err = app.Examine(ctx, cfg, log, runtime.ExamineOptions{Acknowledged: acknowledged(end.Report)})
		if errors.Is(err, fs.ErrNotExist) && o.api != "" {
			end.Notes, err = append(end.Notes, "no system of this machine is known, so the doctor could not look at it"), nil
		}
	}
	if err = errors.Join(err, release()); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return printDemo(cmd.OutOrStdout(), end, o.asJSON)
}

func planOf(file string, o demoOptions) (demo.Plan, error) {
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return demo.Plan{}, fmt.Errorf("demo: %w", err)
	}
	defer func() { _ = f.Close() }()
	h, err := onlineretail.Read(f)
	if err != nil {
		return demo.Plan{}, fmt.Errorf("demo %s: %w", file, err)
	}
	switch {
	case o.orders < 1 || o.orders > len(h.Orders):
		return demo.Plan{}, fmt.Errorf("demo: --orders must be 1 to %d, as many as the file has", len(h.Orders))
	case o.rate <= 0:
		return demo.Plan{}, errors.New("demo: --rate must be above 0")
	}
	return demo.NewPlan(h, o.orders, o.run), nil
}

// runningAPI is the address of the API of the running system, or of one that runs here until it is released.
func runningAPI(ctx context.Context, cfg app.Config, given string, log *slog.Logger) (string, func() error, error) {
	nothing := func() error { return nil }
	if given != "" {
		return given, nothing, nil
	}
	at, err := app.ReadAddresses(cfg.DataDir)
	switch {
	case err == nil && at.API != "":
		return at.API, nothing, nil
	case err == nil:
		return "", nil, fmt.Errorf("demo: the system on %s runs without an API: give --api, or run the role %s", cfg.DataDir, app.RoleGateway)
	case !errors.Is(err, fs.ErrNotExist):
		return "", nil, fmt.Errorf("demo: %w", err)
	}
	node, err := app.Start(ctx, cfg, version, log)
	if err != nil {
		return "", nil, err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- node.Run(running) }()
	release := func() error { stop(); return <-ended }
	if err := node.Ready(ctx, nil); err != nil {
		return "", nil, errors.Join(err, release())
	}
	return node.Addresses().API, release, nil
}

func acknowledged(r *demo.Report) []doctor.Acknowledged {
	out := make([]doctor.Acknowledged, len(r.Acknowledged))
	for i, a := range r.Acknowledged {
		out[i] = doctor.Acknowledged{Stream: a.Stream, Revision: a.Revision, Position: a.Position}
	}
	return out
}

func printDemo(w io.Writer, end demoEnd, asJSON bool) error {
	var err error
	if asJSON {
		err = json.NewEncoder(w).Encode(end)
	} else {
		if _, err = io.WriteString(w, end.String()); err == nil && end.Doctor != nil {
			err = end.Doctor.Write(w, false)
		}
	}
	if err == nil && (!end.Healthy || end.Doctor != nil && !end.Doctor.Healthy) {
		err = errors.New("demo: something is wrong, see the report")
	}
	return err
}

// demoProgress keeps one line on a terminal up to date and writes a JSON line a second elsewhere.
func demoProgress(w io.Writer) (show func(demo.Progress), end func()) {
	live := false
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil {
			live = info.Mode()&os.ModeCharDevice != 0
		}
	}
	var last time.Duration
	var rates []demo.Progress // of the last seconds
	return func(p demo.Progress) {
			if rates = append(rates, p); len(rates) > 15 {
				rates = slices.Delete(rates, 0, 1)
			}
			now := float64(p.Ended-rates[0].Ended) / max(0.001, (p.Elapsed-rates[0].Elapsed).Seconds())
			if live {
				fmt.Fprintf(w, "\r\x1b[K%5.0f s  due %d  placed %d  ended %d of %d (%.0f/s)  confirmed %d  rejected %d  under way %d  asked again %d",
					p.Elapsed.Seconds(), p.Due, p.Placed, p.Ended, p.Of, now, p.Confirmed, p.Rejected, p.Placed-p.Ended, p.Retries)
			} else if p.Elapsed-last >= time.Second || p.Ended == p.Of {
				last = p.Elapsed
				fmt.Fprintf(w, `{"seconds":%.1f,"due":%d,"placed":%d,"ended":%d,"of":%d,"ended_per_second":%.1f,"confirmed":%d,"rejected":%d,"retries":%d}`+"\n",
					p.Elapsed.Seconds(), p.Due, p.Placed, p.Ended, p.Of, now, p.Confirmed, p.Rejected, p.Retries)
			}
		}, func() {
			if live {
				_, _ = fmt.Fprintln(w)
			}
		}
}
