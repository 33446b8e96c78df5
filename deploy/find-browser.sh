#!/bin/sh
# Prints the Chromium that the page is tested with; as root on Debian or Ubuntu it is installed if missing.
for b in chromium chromium-browser google-chrome google-chrome-stable; do command -v "$b" && exit 0; done
if [ -z "$CSLM_NO_APT" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "tests: apt-get install chromium" >&2
  { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >/dev/null </dev/null
  command -v chromium && exit 0
fi
echo "tests: no Chromium found, the tests of the page will be skipped" >&2
exit 1
