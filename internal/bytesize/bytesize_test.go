package bytesize_test

import (
	"testing"

	"github.com/daybook-dev/daybook/internal/bytesize"
)

func TestSizesAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"1": 1, "1025": 1025, "4KiB": 4 << 10, "512MiB": 512 << 20, "3GiB": 3 << 30, "1 MiB": 1 << 20} {
		got, err := bytesize.Parse(text)
		if err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
		if again, err := bytesize.Parse(bytesize.Format(got)); err != nil || again != want {
			t.Errorf("%q was written %q", text, bytesize.Format(got))
		}
	}
	for _, text := range []string{"", "0", "-1", "1MB", "1.5GiB", "GiB", "9223372036854775807GiB"} {
		if n, err := bytesize.Parse(text); err == nil {
			t.Errorf("%q was read as %d", text, n)
		}
	}
}
