#!/bin/sh
# Prints a Python that can make virtual environments. Candidates are run, not believed: a version manager leaves
# commands on the PATH that start nothing. An argument names the one to use.

versions="3.13 3.12 3.11 3.14"
makes_environments='import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'
bare=""

if [ -n "$1" ]; then
    if "$1" -c "$makes_environments" 2>/dev/null; then
        command -v "$1"
        exit
    fi
    echo "$1 is not a Python 3.11, 3.12, 3.13 or 3.14 with ensurepip and venv (Debian, Ubuntu: apt-get install python3-venv)." >&2
    exit 1
fi

# The one that the environments were made with goes on being used, though a better one may have been installed since.
in_use=$(head -n 1 "$(dirname "$0")/../.venv/complete" 2>/dev/null)
if [ -n "$in_use" ] && "$in_use" -c "$makes_environments" 2>/dev/null; then
    echo "$in_use"
    exit
fi

for version in $versions; do
    for candidate in "python$version" "$HOME/.pyenv/versions/$version".*/bin/python "/usr/bin/python$version" \
        "/usr/local/bin/python$version" "/opt/homebrew/bin/python$version" python3 python; do
        found=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        [ "$found" = "$version" ] || continue
        if "$candidate" -c "$makes_environments" 2>/dev/null; then
            command -v "$candidate"
            exit
        fi
        bare=$version
    done
done

if [ -n "$bare" ]; then
    echo "Python $bare is here, but cannot make virtual environments. Debian, Ubuntu: apt-get install python$bare-venv" >&2
else
    echo "Python 3.11, 3.12, 3.13 or 3.14 is needed. Debian, Ubuntu: apt-get install python3 python3-venv" \
        "- Fedora: dnf install python3.13 - macOS: brew install python@3.13" >&2
fi
exit 1
