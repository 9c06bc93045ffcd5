#!/bin/bash
# Runs the official Go client's own tests, as they are in the module cache, against this server: insecure and secured. What they
# take from a container with prepared data is made of what they expect to read there; see upstream_test.go.
cd "$(dirname "$0")/../.." && UPSTREAM=1 exec go test -count=1 -timeout 10m -run 'TestUpstream' -v .
