package apachekafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Version of Apache Kafka that is run.
const Version = "4.1.1"

// pom asks Maven for it; the image is built from the same.
func pom() string {
	_, here, _, known := runtime.Caller(0)
	if !known {
		return ""
	}
	return filepath.Join(filepath.Dir(here), "..", "..", "..", "deploy", "local", "kafka", "pom.xml")
}

// errAbsent: something that it takes is not on this machine, and was not asked for.
var errAbsent = errors.New("no Apache Kafka")

// found looks for Java and the jars once per process.
var found = sync.OnceValues(find)

type parts struct{ java, jars string }

func find() (parts, error) {
	asked := os.Getenv("DAYBOOK_TEST_APACHE_KAFKA")
	if asked == "off" {
		return parts{}, fmt.Errorf("%w: DAYBOOK_TEST_APACHE_KAFKA=off", errAbsent)
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return parts{}, fmt.Errorf("%w: there is no java in PATH", errAbsent)
	}
	if given := os.Getenv("DAYBOOK_KAFKA_JARS"); given != "" {
		if !complete(given) {
			return parts{}, fmt.Errorf("DAYBOOK_KAFKA_JARS: %s holds no kafka_2.13-*.jar", given)
		}
		return parts{java, given}, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return parts{}, fmt.Errorf("%w: %w", errAbsent, err)
	}
	jars := filepath.Join(cache, "daybook", "kafka-"+Version)
	if complete(jars) {
		return parts{java, jars}, nil
	}
	if asked == "" && os.Getenv("DAYBOOK_LONG") == "" {
		return parts{}, fmt.Errorf("%w: its jars are not in %s; DAYBOOK_TEST_APACHE_KAFKA=1 fetches them with Maven", errAbsent, jars)
	}
	return parts{java, jars}, fetch(jars)
}

func complete(dir string) bool {
	names, _ := filepath.Glob(filepath.Join(dir, "kafka_2.13-*.jar"))
	return len(names) > 0
}

// fetch lets Maven put the jars into dir, all or none. Other test processes wait for it.
func fetch(dir string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("%w: there is no mvn in PATH to fetch its jars", errAbsent)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // our cache
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if complete(dir) {
		return nil
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "kafka-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, mvn, "-q", "-B", "-f", pom(), "dependency:copy-dependencies", "-DoutputDirectory="+filepath.Join(work, "jars"), "-DincludeScope=runtime") //nolint:gosec // from PATH
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("fetching the jars of Apache Kafka %s: %w\n%s", Version, err, out)
	}
	_ = os.RemoveAll(dir)
	return os.Rename(filepath.Join(work, "jars"), dir)
}
