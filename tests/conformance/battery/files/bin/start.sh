#!/bin/sh
set -e
echo "started with $# arguments: $*"
[ $# -gt 0 ] || exit 3
