//go:build !linux

package pgserver

import "syscall"

// attributes put Postgres into a process group of its own. Nothing ends it when we are killed: the next start finds
// it running and takes it over.
func attributes(acct account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: acct.credential()}
}

// serves cannot be told here; whether the server answers to our password decides.
func serves(pid int, _ string) bool { return alive(pid) }

func parent(int) int { return 0 }
