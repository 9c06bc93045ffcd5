package pgserver

import (
	"slices"
	"testing"
)

// Memory is shared out, however little and however much it is.
func TestSettingsFitTheMemory(t *testing.T) {
	t.Parallel()
	for memory, want := range map[int64][]string{
		1 << 30:  {"shared_buffers=104857kB", "work_mem=10922kB", "maintenance_work_mem=87381kB", "autovacuum_work_mem=21845kB"},
		0:        {"shared_buffers=39321kB", "work_mem=4096kB"},                                                             // the default, 384 MiB
		78 << 20: {"shared_buffers=16384kB", "work_mem=832kB", "maintenance_work_mem=6656kB", "autovacuum_work_mem=1664kB"}, // what is left of the least that a process takes
	} {
		c, err := Config{Dir: t.TempDir(), Memory: memory}.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		got := c.settings("127.0.0.1", "0")
		for _, setting := range want {
			if !slices.Contains(got, setting) {
				t.Errorf("of %d bytes: %s is not among %q", memory, setting, got)
			}
		}
	}
}
