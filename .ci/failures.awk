# Of the output of go test -v: each package that failed, its tests that failed, and what those said themselves, shortly. Of many lines of
# one test the first two and the last three are shown.
function say(line) { print (length(line) > 300 ? substr(line, 1, 300) "…" : line) }
/^=== / { test = $3; next }
/^ +[A-Za-z0-9_.-]+\.go:[0-9]+: / { said[test, ++lines[test]] = $0; next }
/^ *--- FAIL: / { failed[++tests] = $3; next }
/^panic: / { if (!panicked) panicked = $0; next }
/^(ok|FAIL)[ \t]/ {
  if ($1 == "FAIL") {
    say($0)
    if (panicked) say("  " panicked)
    for (i = 1; i <= tests; i++) {
      name = failed[i]; n = lines[name]
      say("  " name)
      for (j = 1; j <= n; j++)
        if (n <= 5 || j <= 2 || j > n - 3) say("  " said[name, j])
        else if (j == 3) say("      … " n - 5 " lines")
    }
  }
  tests = 0; panicked = test = ""; split("", failed); split("", lines); split("", said)
}
