# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154	# variables of scripts/test
#
# scripts/test has built the modules before, with W=1.

check "the modules build without a warning" lacks 'warning:|WARNING:' "$modules/build.log"
for ko in "$tool_ko" "$kunit_ko" "$edu_ko"; do
	check "${ko##*/} is there" [ -s "$ko" ]
done
