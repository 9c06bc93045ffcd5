package diskspace

import "os"

// fill writes zeros: the way to take blocks where the file system has no other.
func fill(f *os.File, size uint64) error {
	zeros := make([]byte, 1<<20)
	for left := size; left > 0; {
		n, err := f.Write(zeros[:min(left, uint64(len(zeros)))])
		if err != nil {
			return err
		}
		left -= uint64(n) //nolint:gosec // not negative
	}
	return f.Sync()
}
