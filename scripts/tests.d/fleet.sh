# SPDX-License-Identifier: GPL-2.0
#
# Many drivers, unmodified, in three modes; each thing that scripts/soak --fleet requires
# is a test. It has a kernel of its own.

fleet_log=$logs/$step.console
"$DOD_TOP/scripts/soak" --fleet </dev/null >"$fleet_log" 2>"$logs/$step.err" ||
	{ tail -n 3 "$logs/$step.err" >&2; fail "scripts/soak --fleet"; }
requirements soak "$fleet_log"
