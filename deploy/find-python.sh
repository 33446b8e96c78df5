#!/bin/sh
# Prints a Python 3.11 to 3.14, or says on stderr how to get one. $PYTHON, if set, is the only candidate.
fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' >/dev/null 2>&1; }
look() { for p in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3}; do fits "$p" && { command -v "$p"; exit 0; }; done; }
look
if [ -z "$PYTHON$CSLM_NO_APT" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "install: apt-get install python3 python3-venv" >&2
  { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv; } >/dev/null </dev/null
  look
fi
cat >&2 <<END
Python 3.11 to 3.14 is needed${PYTHON:+; $PYTHON is not one}.
  Debian 12, Ubuntu 24.04 or newer:  sudo apt-get install python3 python3-venv
  macOS:                             brew install python@3.12
  elsewhere:                         https://www.python.org/downloads/
Then run it again, or name the interpreter: make serve PYTHON=/path/to/python3
END
exit 1
