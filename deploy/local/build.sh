#!/usr/bin/env bash
# Builds what compose.local.yml and the tests in containers run, from Debian's packages, Kafka's jars and this tree.
#   deploy/local/build.sh [base] [postgres] [kafka] [daybook]      default: all
#   deploy/local/build.sh jars                                     only fetches Kafka's jars into the user's cache
# Needed: a Docker engine, Go (or DAYBOOK_BINARY, a static one) and Kafka's jars (DAYBOOK_KAFKA_JARS, those in the user's cache, or
# Maven to fetch them). The base is debian:bookworm-slim where that can be pulled, else made by debootstrap, as root.
# It ends with 3 if something that it needs is not available here.
set -euo pipefail
cd "$(dirname "$0")/../.."
export DOCKER_BUILDKIT=0 # the engine's own builder: nothing to install
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cannot() {
  [ ! -e "$work/log" ] || tail -n 20 "$work/log" >&2
  echo "$1" >&2
  exit 3
}

image() { # NAME CONTEXT; the one before is removed, unless a container runs it
  local before
  before=$(docker image inspect -f '{{.Id}}' "daybook-local/$1" 2> /dev/null || true)
  echo "building daybook-local/$1"
  docker build --network host -t "daybook-local/$1" "$2" > "$work/log" 2>&1 || cannot "the image daybook-local/$1 cannot be built"
  if [ -n "$before" ] && [ "$before" != "$(docker image inspect -f '{{.Id}}' "daybook-local/$1")" ]; then
    docker rmi "$before" > /dev/null 2>&1 || true
  fi
}

base() {
  docker image inspect daybook-local/base > /dev/null 2>&1 && return
  if timeout 120 docker pull -q debian:bookworm-slim > "$work/log" 2>&1; then
    docker tag debian:bookworm-slim daybook-local/base
    return
  fi
  if [ "$(id -u)" != 0 ] || ! command -v debootstrap > /dev/null; then
    cannot "debian:bookworm-slim cannot be pulled, and to make such a base takes root and debootstrap"
  fi
  echo "building daybook-local/base"
  debootstrap --variant=minbase bookworm "$work/base" ${DAYBOOK_DEBIAN_MIRROR:+"$DAYBOOK_DEBIAN_MIRROR"} > "$work/log" 2>&1 ||
    cannot "debootstrap failed"
  rm -rf "$work/base"/var/cache/apt/archives/*.deb "$work/base"/var/lib/apt/lists/* "$work/base"/usr/share/{doc,man,locale}
  tar -C "$work/base" -c . | docker import - daybook-local/base > /dev/null
}

postgres() { image postgres deploy/local/postgres; }

jars() { # sets jars to where they are
  local version
  version=$(sed -n 's|.*<artifactId>kafka_2.13</artifactId><version>\(.*\)</version></dependency>.*|\1|p' deploy/local/kafka/pom.xml)
  jars=${DAYBOOK_KAFKA_JARS:-${XDG_CACHE_HOME:-$HOME/.cache}/daybook/kafka-$version}
  if compgen -G "$jars/kafka_2.13-*.jar" > /dev/null; then return; fi
  echo "fetching the jars of Apache Kafka $version"
  mkdir -p "$(dirname "$jars")"
  mvn -q -B -f deploy/local/kafka/pom.xml dependency:copy-dependencies -DoutputDirectory="$jars.new.$$" -DincludeScope=runtime > "$work/log" 2>&1 ||
    cannot "the jars of Apache Kafka are not in $jars and Maven cannot fetch them"
  mv -T "$jars.new.$$" "$jars"
}

kafka() {
  jars
  cp -r deploy/local/kafka "$work/kafka"
  cp -r "$jars" "$work/kafka/jars"
  image kafka "$work/kafka"
}

daybook() {
  cp -r deploy/local/daybook "$work/daybook"
  mkdir "$work/daybook/empty"
  cp /etc/ssl/certs/ca-certificates.crt "$work/daybook/"
  if [ -n "${DAYBOOK_BINARY:-}" ]; then
    cp "$DAYBOOK_BINARY" "$work/daybook/daybook"
  else
    GOOS=linux CGO_ENABLED=0 go build -ldflags "-s -w -X main.version=$(git describe --tags --always --dirty 2> /dev/null || echo dev)" -o "$work/daybook/daybook" ./cmd/daybook
  fi
  image daybook "$work/daybook"
}

if [ "$*" = jars ]; then
  jars
  exit
fi
docker version > "$work/log" 2>&1 || cannot "no Docker engine answers to the docker command"
base
for name in "${@:-}"; do
  case "$name" in
    "") postgres; kafka; daybook ;;
    base) ;;
    postgres | kafka | daybook) "$name" ;;
    *) echo "no image $name: base, postgres, kafka or daybook" >&2; exit 2 ;;
  esac
done
