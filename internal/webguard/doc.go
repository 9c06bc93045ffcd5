// Package webguard is what every HTTP listener of ours needs before a request is looked at: nothing of a page of another site reaches
// it (Guard), and what net/http itself refuses is answered in the form of the rest (Listener).
package webguard
