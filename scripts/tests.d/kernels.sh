# SPDX-License-Identifier: GPL-2.0
#
# The oldest kernel and the newest, with the KUnit suites but for what is slow.

no_slow=y
while read -r row; do
	run_row "$row" build kunit-modules
done < <(booted_rows)
no_slow=''
