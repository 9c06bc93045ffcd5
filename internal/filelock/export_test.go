package filelock

import "os"

func File(l *Lock) *os.File { return l.f }
