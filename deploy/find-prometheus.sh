#!/bin/sh
# Prints the directory of prometheus, promtool and amtool. On Debian and Ubuntu they are unpacked into build/prometheus if missing,
# not installed: the packages would start services.
cd "$(dirname "$0")/.." || exit 1
for tool in prometheus promtool amtool; do command -v $tool >/dev/null || missing=1; done
[ -z "$missing" ] && exec dirname "$(command -v promtool)"
here=$PWD/build/prometheus
if [ ! -x "$here/usr/bin/amtool" ] && [ -z "$CSLM_NO_APT" ] && command -v apt-get >/dev/null; then
  echo "tests: fetching Debian's prometheus and prometheus-alertmanager into build/prometheus" >&2
  mkdir -p "$here"
  get() { (cd "$here" && apt-get download -qq prometheus prometheus-alertmanager) >/dev/null 2>&1 </dev/null; }
  get || { [ "$(id -u)" = 0 ] && apt-get update -qq >/dev/null && get; }
  for package in "$here"/*.deb; do [ -f "$package" ] && dpkg-deb -x "$package" "$here" && rm "$package"; done
fi
[ -x "$here/usr/bin/promtool" ] && [ -x "$here/usr/bin/amtool" ] && echo "$here/usr/bin" && exit 0
echo "tests: no Prometheus found, the tests of alerts and dashboards will be skipped" >&2
exit 1
