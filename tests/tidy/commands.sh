#!/bin/sh
# docs/COMMANDS.md is what the table of commands, the cases of conformance and
# the list of differences say.
set -eu
tests/clients/conformance.py list | diff docs/COMMANDS.md - ||
    {
        echo 'docs/COMMANDS.md is old: run make conformance, or in no time' \
            'tests/clients/conformance.py list >docs/COMMANDS.md'
        exit 1
    }
echo 'docs/COMMANDS.md is up to date'
