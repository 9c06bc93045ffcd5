package plan

import (
	"maps"
	"regexp"
	"strings"
)

// A table and its columns are described in its schema by "comment on" statements of one line each. They are no part of the table:
// a build need not be made anew for them.
var (
	comments  = regexp.MustCompile(`(?m)^comment on (?:table|column) [^\n]*;\n?`)
	commented = regexp.MustCompile(`(?m)^comment on (?:table \w+|column \w+\.(\w+)) is '((?:[^'\n]|'')*)';$`)
)

// engineComments describe the columns that every table has.
var engineComments = map[string]string{
	"key":           "Key of the row: the id of the order, SKU or customer; in totals the number of the partition.",
	"suffix":        "Which of several rows of the key; empty for the one.",
	"version":       "Versions of the row so far, from 0: one per event that changed it.",
	"revision":      "Revision of the stream that the row is about; -1 before its first event.",
	"position":      "Position in the log of the last event that changed the row.",
	"valid_from":    "Business time since when the row is as it is.",
	"recorded_from": "When the last event of the row was recorded.",
}

// Describe gives the comment of the table, under "", and those of all its columns that have one.
func (p Plan) Describe() map[string]string {
	all := maps.Clone(engineComments)
	for _, m := range commented.FindAllStringSubmatch(p.Schema, -1) {
		all[m[1]] = strings.ReplaceAll(m[2], "''", "'")
	}
	return all
}

// Definition is the schema without its comments.
func (p Plan) Definition() string { return comments.ReplaceAllString(p.Schema, "") }
