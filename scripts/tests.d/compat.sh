# SPDX-License-Identifier: GPL-2.0
#
# How base/compat.h reads the arguments of a hooked function, by the shape that the kernels'
# headers have: those of 6.2 to 6.11 are in no package. The headers are cut down to what counts.

# shape NAME ARCH: makes $tmp/NAME, a kernel tree with the headers of stdin: lines after a
# line "== PATH" go to that path. All others that compat.h includes are empty.
shape()
{
	local header

	mkdir -p "$tmp/$1"
	(cd "$tmp/$1" && awk '
		/^== / {
			path = dir = $2
			sub("/[^/]*$", "", dir)
			system("mkdir -p " dir)
			printf "" >path
			next
		}
		{ print >path }')
	sed -n 's/^#include <\(.*\)>/\1/p' "$DOD_TOP/base/compat.h" | while read -r header; do
		case $header in
		linux/ftrace*) continue ;;
		linux/*) header=include/$header ;;
		*) header=arch/$2/include/$header ;;
		esac
		mkdir -p "$tmp/$1/${header%/*}"
		[ -e "$tmp/$1/$header" ] || : >"$tmp/$1/$header"
	done
}

# reads_args NAME ARCH CONFIG FLAGS: a program with the headers of NAME, Kbuild's flags and
# compat.h's macros reads each argument right, of a function whose arguments ftrace saved as 100
# to 107. What compat.h has besides is only preprocessed: it needs all of a kernel.
reads_args()
{
	local flags dir=$tmp/$1

	flags=$(make -s --no-print-directory -f - srctree="$dir" SRCARCH="$2" src="$DOD_TOP" <<-END
		include $DOD_TOP/Kbuild
		.DEFAULT_GOAL := flags
		flags: ; @echo \$(filter -DDOD_FTRACE%,\$(subdir-ccflags-y))
		END
	)
	cat >"$dir/test.c" <<-'END'
		#include "base/compat.h"
		MARK
		static unsigned long argument(struct ftrace_regs *fregs, unsigned int n)
		{
			return dod_arg(fregs, n);
		}

		static unsigned long flags = DOD_FTRACE_FLAGS;
		END
	{
		cat <<-'END'
			#define __always_inline inline
			struct pt_regs { unsigned long regs[8]; };
			enum { FTRACE_OPS_FL_SAVE_REGS = 1 };
			static inline unsigned long regs_get_kernel_argument(struct pt_regs *regs,
									     unsigned int n)
			{
				return regs->regs[n];
			}
			#include <linux/ftrace.h>
			END
		# shellcheck disable=SC2086	# none or one
		gcc -E -P -nostdinc $flags -D"$3" -D'LINUX_VERSION_CODE=1' -D'KERNEL_VERSION(a, b, c)=0' \
			-D'IS_ENABLED(x)=0' -DCONFIG_HAVE_FUNCTION_ARG_ACCESS_API \
			-I "$dir/include" -I "$dir/arch/$2/include" -I "$DOD_TOP" "$dir/test.c" |
			sed '1,/^ *MARK/d'
		cat <<-END
			int main(void)
			{
				union { struct ftrace_regs fregs; unsigned long word[16]; } u;
				unsigned int n;

				for (n = 0; n < 16; n++)
					u.word[n] = 100 + n;
				for (n = 0; n < 7; n++)
					if (argument(&u.fregs, n) != 100 + n)
						return 1;
				return flags != $4;
			}
			END
	} >"$dir/main.c"
	gcc -Wall -Werror -I "$dir/include" -I "$dir/arch/$2/include" -o "$dir/main" "$dir/main.c" &&
		"$dir/main"
}

# 6.1: there is no getter.
shape v6.1 arm64 <<'END'
== include/linux/ftrace.h
struct ftrace_regs { struct pt_regs regs; };
static __always_inline struct pt_regs *ftrace_get_regs(struct ftrace_regs *fregs)
{
	return &fregs->regs;
}
END
check "6.1: all registers are saved" reads_args v6.1 arm64 CONFIG_DYNAMIC_FTRACE_WITH_REGS 1

# 6.2 to 6.11 on arm64: a function in asm/ftrace.h. There are no other registers than these.
shape v6.6-arm64 arm64 <<'END'
== include/linux/ftrace.h
#include <asm/ftrace.h>
static __always_inline struct pt_regs *ftrace_get_regs(struct ftrace_regs *fregs)
{
	return arch_ftrace_get_regs(fregs);
}
== arch/arm64/include/asm/ftrace.h
struct ftrace_regs {
	/* x0 - x8 */
	unsigned long regs[9];
	unsigned long direct_tramp;
	unsigned long fp, lr, sp, pc;
};
#define arch_ftrace_get_regs(regs) ((struct pt_regs *)0)
static __always_inline unsigned long
ftrace_regs_get_argument(struct ftrace_regs *fregs, unsigned int n)
{
	if (n < 8)
		return fregs->regs[n];
	return 0;
}
END
check "6.6, arm64: a function reads what is saved anyway" \
	reads_args v6.6-arm64 arm64 CONFIG_DYNAMIC_FTRACE_WITH_ARGS 0

# 6.2 to 6.11 on x86: a macro in asm/ftrace.h.
shape v6.6-x86 x86 <<'END'
== include/linux/ftrace.h
#include <asm/ftrace.h>
== arch/x86/include/asm/ftrace.h
struct ftrace_regs { struct pt_regs regs; };
#define ftrace_regs_get_argument(fregs, n) regs_get_kernel_argument(&(fregs)->regs, n)
END
check "6.6, x86: a macro does" reads_args v6.6-x86 x86 CONFIG_DYNAMIC_FTRACE_WITH_ARGS 0

# 6.2 to 6.11 without WITH_ARGS, as on riscv: a macro that needs all registers.
shape v6.6-riscv riscv <<'END'
== include/linux/ftrace.h
struct ftrace_regs { struct pt_regs regs; };
#define ftrace_regs_get_argument(fregs, n) regs_get_kernel_argument(ftrace_get_regs(fregs), n)
static __always_inline struct pt_regs *ftrace_get_regs(struct ftrace_regs *fregs)
{
	return &fregs->regs;
}
END
check "6.6, riscv: all registers are saved" \
	reads_args v6.6-riscv riscv CONFIG_DYNAMIC_FTRACE_WITH_REGS 1

# Since 6.12: in a header of their own.
shape v6.12-x86 x86 <<'END'
== include/linux/ftrace.h
#include <linux/ftrace_regs.h>
== include/linux/ftrace_regs.h
struct __arch_ftrace_regs { struct pt_regs regs; };
struct ftrace_regs { unsigned long opaque[8]; };
#define arch_ftrace_regs(fregs) ((struct __arch_ftrace_regs *)(fregs))
#define ftrace_regs_get_argument(fregs, n) \
	regs_get_kernel_argument(&arch_ftrace_regs(fregs)->regs, n)
END
check "6.12, x86: a macro of a header of its own does" \
	reads_args v6.12-x86 x86 CONFIG_DYNAMIC_FTRACE_WITH_ARGS 0
