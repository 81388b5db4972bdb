# SPDX-License-Identifier: GPL-2.0
#
# The oldest kernel and the newest, with the KUnit suites but for what is slow.

while read -r row; do
	no_slow=y run_row "$row" build kunit-modules
done < <(booted_rows)
