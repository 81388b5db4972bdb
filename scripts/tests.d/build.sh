# SPDX-License-Identifier: GPL-2.0
#
# scripts/test has built the modules before, with W=1.

check "the modules build without a warning" lacks 'warning:|WARNING:' "$modules/build.log"
for ko in "$tool_ko" "$kunit_ko" "$edu_ko"; do
	check "${ko##*/} is there" [ -s "$ko" ]
done
# KMSAN sees what the tool writes and passes on, and makes no report of what it reads.
if configured KMSAN; then
	check "KMSAN sees what the tool writes" grep -q __msan_metadata_ptr_for_store "$tool_ko"
	check "KMSAN has nothing to say in the tool" [ -z "$(grep -l __msan_warning "$tool_ko")" ]
fi
