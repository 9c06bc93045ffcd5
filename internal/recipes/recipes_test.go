package recipes

import (
	"crypto/sha256"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// recipe is a section of CONTRIBUTING.md that has diffs.
type recipe struct {
	title           string
	diffs           []string
	generate, check []string // commands
}

// Every recipe is applied to one copy of the tree; what they generate is generated, and each guard that they name passes.
func TestRecipes(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"git", "go", "sh"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIP recipes: %v", err)
		}
	}
	all := recipes(t)
	tree := t.TempDir()
	copyTree(t, tree)
	var generate, check []string
	for _, r := range all {
		for _, diff := range r.diffs {
			run(t, r.title, tree, diff, "git", "apply", "-")
		}
		generate, check = append(generate, r.generate...), append(check, r.check...)
	}
	for _, command := range distinct(generate) {
		run(t, command, tree, "", "sh", "-c", command)
	}
	for _, command := range distinct(check) {
		t.Run(command, func(t *testing.T) { run(t, command, tree, "", "sh", "-c", command) })
	}
}

// What go generate writes is what the tree has.
func TestGeneratedCodeIsCurrent(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	copyTree(t, tree)
	before := files(t, tree)
	run(t, "go generate", tree, "", "go", "generate", "./...")
	for path, now := range files(t, tree) {
		if before[path] != now {
			t.Errorf("%s is not what go generate writes: run make generate", path)
		}
	}
}

// files gives the digest of each file.
func files(t *testing.T, tree string) map[string][sha256.Size]byte {
	t.Helper()
	all := map[string][sha256.Size]byte{}
	err := filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, tree)] = sha256.Sum256(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// recipes reads CONTRIBUTING.md. A section with a diff is a recipe, and has a command that checks it.
func recipes(t *testing.T) (all []recipe) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	for section := range strings.SplitSeq("\n"+string(text), "\n## ") {
		title, _, _ := strings.Cut(section, "\n")
		r := recipe{title: title}
		for i, block := range strings.Split(section, "\n```") {
			if i%2 == 0 { // prose
				continue
			}
			kind, body, _ := strings.Cut(block, "\n")
			switch kind {
			case "diff":
				r.diffs = append(r.diffs, body+"\n")
			case "sh generate":
				r.generate = append(r.generate, strings.Split(body, "\n")...)
			case "sh check":
				r.check = append(r.check, strings.Split(body, "\n")...)
			}
		}
		if len(r.diffs) == 0 {
			continue
		}
		if len(r.check) == 0 {
			t.Errorf("the recipe %q names no guard", title)
		}
		all = append(all, r)
	}
	for _, want := range []string{"an event", "a new version of an event", "a command", "an operation", "a projection", "a saga", "a reactor"} {
		if !slices.ContainsFunc(all, func(r recipe) bool { return r.title == "Add "+want }) {
			t.Errorf("there is no recipe to add %s", want)
		}
	}
	return all
}

func distinct(commands []string) (out []string) {
	for _, c := range commands {
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}

// copyTree copies the tree without what git and the Makefile keep beside the sources.
func copyTree(t *testing.T, to string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case rel == ".git" || rel == "bin":
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a command in the copy.
func run(t *testing.T, what, dir, input string, command ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(input)
	cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s%s", what, err, input, out)
	}
}
