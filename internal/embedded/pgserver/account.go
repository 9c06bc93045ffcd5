package pgserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the user who runs Postgres, which refuses to run as root. The zero value is ourselves.
type account struct {
	name     string
	uid, gid uint32
}

// whoRuns picks postgres, else nobody, for root; everybody else runs it themselves.
func whoRuns() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return account{}, fmt.Errorf("user %s: %w", name, err)
		}
		if uid != 0 {
			return account{name, uint32(uid), uint32(gid)}, nil
		}
	}
	return account{}, errors.New("as root, Postgres needs a user postgres or nobody to run as, and there is neither")
}

// ownerOf makes root run Postgres as the user to whom the data already belongs: it was made by him, or for another
// image's user postgres. Postgres takes no other user's data.
func (a account) ownerOf(data string) (account, error) {
	info, err := os.Stat(data)
	if errors.Is(err, fs.ErrNotExist) || !a.other() {
		return a, nil
	}
	if err != nil {
		return a, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid == 0 || st.Uid == a.uid {
		return a, nil
	}
	return account{fmt.Sprintf("%d, whose the data is", st.Uid), st.Uid, st.Gid}, nil
}

func (a account) other() bool { return a.uid != 0 }

func (a account) credential() *syscall.Credential {
	if !a.other() {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid}
}

// give makes path the account's own.
func (a account) give(path string) error {
	if !a.other() {
		return nil
	}
	return os.Lchown(path, int(a.uid), int(a.gid))
}

// admit lets the account enter a directory of ours, and checks the way there.
func (a account) admit(dir string) error {
	if !a.other() {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !a.enters(info) {
		if err := os.Chmod(dir, info.Mode().Perm()|0o111); err != nil {
			return err
		}
	}
	return a.reaches(dir)
}

// reaches tells whether the account can walk to dir and use it. It is asked so that the error names the directory
// that is in the way; Postgres itself would only name the last one.
func (a account) reaches(dir string) error {
	if !a.other() {
		return nil
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	for p := dir; ; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		if err != nil {
			return err
		}
		if !a.enters(info) {
			return fmt.Errorf("user %s, as whom Postgres runs, cannot enter %s (mode %04o): let others enter it (chmod o+x), or use a directory elsewhere", a.name, p, info.Mode().Perm())
		}
		if p == filepath.Dir(p) {
			return nil
		}
	}
}

func (a account) enters(info os.FileInfo) bool {
	mode := info.Mode().Perm()
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		switch {
		case st.Uid == a.uid:
			return mode&0o100 != 0
		case st.Gid == a.gid:
			return mode&0o010 != 0
		}
	}
	return mode&0o001 != 0
}
