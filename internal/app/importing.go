package app

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/imports/onlineretail"
	"github.com/daybook-dev/daybook/internal/wholefile"
	"github.com/daybook-dev/daybook/kit/runtime"
)

// ImportSummary is what an import came to. Amounts are pence.
type ImportSummary struct {
	File            string         `json:"file"`
	Lines           int            `json:"lines"`
	OrderLines      int            `json:"order_lines"`
	ShippingLines   int            `json:"shipping_lines"`
	ReturnLines     int            `json:"return_lines"`
	Rejected        int            `json:"rejected"`
	Rejects         map[string]int `json:"rejects"`
	RejectsFile     string         `json:"rejects_file,omitempty"`
	Orders          int            `json:"orders"`
	Guests          int            `json:"guests"`
	WithShipping    int            `json:"with_shipping"`
	Products        int            `json:"products"`
	Customers       int            `json:"customers"`
	Units           int            `json:"units"`
	Goods           int64          `json:"goods"`
	Shipping        int64          `json:"shipping"`
	Total           int64          `json:"total"`
	Returns         int            `json:"returns"`
	ReturnedUnits   int            `json:"returned_units"`
	Refunded        int64          `json:"refunded"`
	Net             int64          `json:"net"`
	Notes           []string       `json:"notes,omitempty"` // what is recorded otherwise than the file has it
	Recorded        int            `json:"recorded"`        // commands that were new
	Repeated        int            `json:"repeated"`        // commands that were recorded already
	Seconds         float64        `json:"seconds"`
	OrdersPerSecond float64        `json:"orders_per_second"`
	ReadableAfter   float64        `json:"readable_after_seconds"` // from the last event recorded to every read model
	Position        string         `json:"position"`
}

// ImportOnlineRetail records a file into the system that runs on the data directory, or into one that it runs itself as long
// as it takes. It returns when every read model shows it.
func ImportOnlineRetail(ctx context.Context, cfg Config, version string, log *slog.Logger, file, rejects string, progress func(done, of int)) (ImportSummary, error) {
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return ImportSummary{}, fmt.Errorf("import: %w", err)
	}
	defer func() { _ = f.Close() }()
	var h *onlineretail.History
	if err := unchanged(f, func() error { h, err = onlineretail.Read(f); return err }); err != nil {
		return ImportSummary{}, fmt.Errorf("import %s: %w", file, err)
	}
	cfg.Version = version
	system, release, err := runtime.SystemFor(ctx, domain(cfg), cfg.Config, log, func(role string) bool {
		return role != RoleGateway && role != RoleCommandAPI && role != RoleQueryAPI
	})
	if err != nil {
		return ImportSummary{}, err
	}
	s, err := record(ctx, system, h, progress)
	if err == nil {
		s.File = filepath.Base(file)
		s.RejectsFile, err = writeRejects(cfg, h, rejects)
	}
	if ended := release(); ended != nil && ctx.Err() == nil {
		return s, errors.Join(err, ended)
	} else if ended != nil { // stopped in the middle of something: the next start sees to it
		log.Debug("import stopped", "err", ended)
	}
	return s, err
}

// unchanged reads a file and refuses one that changes meanwhile: part of one would be imported as if it were the whole.
func unchanged(f *os.File, read func() error) error {
	before, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at the file: %w", err)
	}
	if err := read(); err != nil || !before.Mode().IsRegular() {
		return err
	}
	after, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at the file: %w", err)
	}
	if after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return errors.New("the file changed while it was read; nothing is recorded, import it when it is complete")
	}
	return nil
}

func record(ctx context.Context, system *System, h *onlineretail.History, progress func(done, of int)) (ImportSummary, error) {
	r, err := (&onlineretail.Import{Handler: system.Handler, History: h, Progress: progress}).Run(ctx)
	if err != nil {
		return ImportSummary{}, fmt.Errorf("import: %w", err)
	}
	began := time.Now()
	if err := system.Shows(ctx, r.Position); err != nil {
		return ImportSummary{}, fmt.Errorf("everything is recorded, but: %w", err)
	}
	s := summarise(h)
	s.Notes = r.Notes
	s.Recorded, s.Repeated, s.Position = r.Recorded, r.Repeated, strconv.FormatUint(r.Position, 10)
	s.Seconds, s.OrdersPerSecond, s.ReadableAfter = r.Took.Seconds(), float64(s.Orders)/r.Took.Seconds(), time.Since(began).Seconds()
	return s, nil
}

func summarise(h *onlineretail.History) ImportSummary {
	s := ImportSummary{
		Lines: h.Lines, ShippingLines: h.Shipping, Rejected: len(h.Rejects), Rejects: map[string]int{},
		Orders: len(h.Orders), Products: len(h.Products), Customers: len(h.Customers), Returns: len(h.Returns),
	}
	for _, o := range h.Orders {
		s.OrderLines += len(o.Lines)
		s.Goods += o.Goods()
		s.Shipping += o.Shipping
		if o.Customer == "" {
			s.Guests++
		}
		if o.Shipping > 0 {
			s.WithShipping++
		}
		for _, l := range o.Lines {
			s.Units += l.Quantity
		}
	}
	s.Total = s.Goods + s.Shipping
	for _, r := range h.Returns {
		s.ReturnLines += len(r.Lines)
		s.Refunded += r.Refund()
		for _, l := range r.Lines {
			s.ReturnedUnits += l.Quantity
		}
	}
	s.Net = s.Total - s.Refunded
	for _, r := range h.Rejects {
		s.Rejects[string(r.Reason)]++
	}
	return s
}

// writeRejects keeps the lines left out, each with its number and the reason.
func writeRejects(cfg Config, h *onlineretail.History, path string) (string, error) {
	if len(h.Rejects) == 0 {
		return "", nil
	}
	if path == "" {
		path = filepath.Join(cfg.DataDir, "online-retail-"+h.Digest[:12]+"-rejects.csv")
	}
	err := wholefile.Fill(path, func(to io.Writer) error {
		w := csv.NewWriter(to)
		_ = w.Write([]string{"line", "reason", "detail", "text"}) // Flush reports
		for _, r := range h.Rejects {
			_ = w.Write([]string{strconv.Itoa(r.Line), string(r.Reason), r.Detail, r.Text})
		}
		w.Flush()
		return w.Error()
	})
	if err != nil {
		return "", fmt.Errorf("everything is recorded, but the lines left out could not be written to a file; run the import again, it records nothing twice: %w", err)
	}
	return path, nil
}

// String is for people.
func (s ImportSummary) String() string {
	var b strings.Builder
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "  %-24s %s\n", what, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "%s: %d lines\n", s.File, s.Lines)
	row("order lines", "%d", s.OrderLines)
	row("shipping lines", "%d", s.ShippingLines)
	row("return lines", "%d", s.ReturnLines)
	row("rejected", "%d%s", s.Rejected, reasons(s.Rejects))
	row("orders", "%d (%d guests, %d with shipping)", s.Orders, s.Guests, s.WithShipping)
	row("products / customers", "%d / %d", s.Products, s.Customers)
	row("units", "%d", s.Units)
	row("goods + shipping", "%s + %s = %s GBP", pounds(s.Goods), pounds(s.Shipping), pounds(s.Total))
	row("returns", "%d, %d units, %s GBP", s.Returns, s.ReturnedUnits, pounds(s.Refunded))
	row("net", "%s GBP", pounds(s.Net))
	row("recorded / already there", "%d / %d commands", s.Recorded, s.Repeated)
	row("took", "%.1f s, %.0f orders/s; readable %.1f s later", s.Seconds, s.OrdersPerSecond, s.ReadableAfter)
	for _, n := range s.Notes {
		row("note", "%s", n)
	}
	if s.RejectsFile != "" {
		row("rejected lines", "%s", s.RejectsFile)
	}
	return b.String()
}

func reasons(m map[string]int) string {
	if len(m) == 0 {
		return ""
	}
	var parts []string
	for reason, n := range m {
		parts = append(parts, fmt.Sprintf("%s %d", reason, n))
	}
	slices.Sort(parts)
	return " (" + strings.Join(parts, ", ") + ")"
}

func pounds(pence int64) string { return fmt.Sprintf("%d.%02d", pence/100, pence%100) }
