package onlineretail

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxRecordBytes bounds a record, so that a quote that is never closed does not take the rest of the file along.
const maxRecordBytes = 64 << 10

// physical is a line of the file, without its line end.
type physical struct {
	text string
	end  string // "\n", "\r\n", or "" at the end of the file
}

// record is what one invoice line is written as: one physical line, or several where a quoted field has line breaks.
type record struct {
	n, lines int // its first physical line; how many it has
	text     string
	broken   error
}

// readPhysical reads a whole file. ErrEncoding, or that of the reader.
func readPhysical(r io.Reader) ([]physical, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	begin, err := in.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the file: %w", err)
	}
	switch {
	case bytes.HasPrefix(begin, []byte{0xef, 0xbb, 0xbf}):
		_, _ = in.Discard(3) // it has been read
	case bytes.HasPrefix(begin, []byte{0xff, 0xfe}), bytes.HasPrefix(begin, []byte{0xfe, 0xff}), bytes.HasPrefix(begin, []byte("I\x00")), bytes.HasPrefix(begin, []byte("\x00I")):
		return nil, fmt.Errorf("%w but UTF-16: save it as CSV UTF-8", ErrEncoding)
	}
	var all []physical
	for {
		text, err := in.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read the file after line %d: %w", len(all), err)
		}
		if text != "" {
			if !utf8.ValidString(text) {
				return nil, fmt.Errorf("%w: line %d; it may be Latin-1 or Windows-1252: save it as CSV UTF-8", ErrEncoding, len(all)+1)
			}
			p := physical{text: strings.TrimSuffix(text, "\n")}
			if p.text = strings.TrimSuffix(p.text, "\r"); len(p.text) < len(text) {
				p.end = text[len(p.text):]
			}
			all = append(all, p)
		}
		if errors.Is(err, io.EOF) {
			return all, nil
		}
	}
}

// nextRecord gives the record that begins at physical line number at, counted from 0. A record whose quotes are wrong, or that is not
// closed, is one physical line: reading goes on at the next.
func nextRecord(all []physical, at int) record {
	first := record{n: at + 1, lines: 1, text: all[at].text}
	if len(first.text) > maxRecordBytes {
		first.broken = fmt.Errorf("the line is longer than %d bytes", maxRecordBytes)
		return first
	}
	var q quotes
	var text strings.Builder
	for i := at; i < len(all) && text.Len() <= maxRecordBytes; i++ {
		text.WriteString(all[i].text)
		if first.broken = q.read(all[i].text); first.broken != nil {
			if i > at {
				first.broken = fmt.Errorf("a quoted field that begins here is not closed before line %d", i+1)
			}
			return first
		}
		if q.state != quoted {
			whole := record{n: at + 1, lines: i - at + 1, text: text.String()}
			if i > at && q.commas != columns-1 { // a quote too many: what follows may be lines of its own
				first.broken = fmt.Errorf("a quoted field that begins here ends on line %d, and the record has %d columns, not %d", i+1, q.commas+1, columns)
				return first
			}
			return whole
		}
		text.WriteString(all[i].end)
	}
	first.broken = errors.New("a quoted field that begins here is not closed")
	return first
}

// quotes follows RFC 4180 through a record.
type quotes struct {
	state  quoteState
	commas int
}

type quoteState int

const (
	fieldBegins quoteState = iota
	plain
	quoted
	quoteSeen // within a quoted field: its end, or the first of two
)

func (q *quotes) read(line string) error {
	for i := range len(line) {
		c := line[i]
		switch {
		case q.state == quoted:
			if c == '"' {
				q.state = quoteSeen
			}
		case c == ',':
			q.state, q.commas = fieldBegins, q.commas+1
		case c == '"' && q.state == fieldBegins, c == '"' && q.state == quoteSeen:
			q.state = quoted
		case c == '"':
			return fmt.Errorf("a quote in column %d, which is not quoted", q.commas+1)
		case q.state == quoteSeen:
			return fmt.Errorf("text after the closing quote of column %d", q.commas+1)
		default:
			q.state = plain
		}
	}
	return nil
}
