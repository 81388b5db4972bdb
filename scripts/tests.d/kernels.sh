# SPDX-License-Identifier: GPL-2.0
#
# The oldest kernel, the newest and the other architecture, with the KUnit suites.

while read -r row; do
	run_row "$row" build kunit-modules
done < <(booted_rows)
