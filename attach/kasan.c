// SPDX-License-Identifier: GPL-2.0
/*
 * Where KASAN calls the tool: kprobes on its report functions, used as jumps, and the
 * tracepoint at the end of its reports. mm/kasan cannot be traced by ftrace, and every
 * check of KASAN's that fails comes to kasan_report().
 *
 * A handler runs in breakpoint context and only decides whether to jump. What it jumps to runs
 * in the original context, in the place of the probed function. No locks of its own.
 */
#include "../base/compat.h"
#include "../base/lock.h"
#include "../base/memory.h"
#include "../base/state.h"
#include "../base/stats.h"
#include "../guard/kasan.h"
#include "../judge/access.h"
#include "../judge/judge.h"
#include "../owner/owner.h"
#include "../report/report.h"
#include "attach.h"

#include <linux/instruction_pointer.h>
#include <linux/kallsyms.h>
#include <linux/kasan-checks.h>
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <trace/events/error_report.h>

/* Annotate KASAN reports up to this many bytes from a mapping. */
#define NEAR		64ULL

/* KASAN is also asked about user addresses and wild ones. */
static bool in_linear_map(unsigned long addr, size_t size)
{
	unsigned long last = addr + size - 1;

	return size && last >= addr && virt_addr_valid((void *)addr) &&
	       (!((addr ^ last) & PAGE_MASK) || virt_addr_valid((void *)last));
}

/* Of memory that may be freed. The access goes ahead, also when KASAN reports no more. */
static void note_foreign(const struct dod_access *access)
{
	u64 phys = dod_linear_to_phys((void *)access->addr);

	dod_late_accessed(phys, phys + access->size - 1);
}

/* === kasan_report() ======================================================= */

/* The access that ask_kasan() asks KASAN about on this CPU. */
struct asked {
	unsigned long addr, ip;
};

static DEFINE_PER_CPU(struct asked, asked);

/*
 * KASAN checks the bytes from @bad on itself, and reports them. The handler lets that through,
 * because the first bad byte is not ours, and says whose access it is.
 *
 * kasan_report() cannot be called. It is not exported, and an indirect call of an address from
 * kallsyms is not legal where the processor (IBT, BTI) or the compiler (CFI) checks those: the
 * kernel removes the landing pads of functions that it never calls indirectly itself.
 *
 * Returns whether KASAN says that the access must not go ahead.
 */
static bool ask_kasan(const struct dod_access *access, unsigned long bad)
{
	unsigned long flags, rest = access->addr + access->size - bad;
	unsigned int size = min_t(unsigned long, rest, UINT_MAX);
	bool ok;

	local_irq_save(flags);
	raw_cpu_write(asked.addr, bad);
	raw_cpu_write(asked.ip, access->ip);
	if (access->write)
		ok = __kasan_check_write((void *)bad, size);
	else
		ok = __kasan_check_read((void *)bad, size);
	raw_cpu_write(asked.addr, 0);
	local_irq_restore(flags);
	return !ok;
}

/* Some of the access is bad for a reason of KASAN's own. Returns as kasan_report() does. */
static bool report_foreign(const struct dod_access *access, const struct dod_access_verdict *v)
{
	u64 phys = virt_to_phys((void *)v->foreign);
	bool reported;

	/* The granule's own value tells KASAN how many of its bytes are accessible. */
	if (v->tail)
		dod_poison_ops.unpoison(phys, phys, false);
	reported = ask_kasan(access, v->poisoned ? v->foreign : access->addr);
	if (v->tail && dod_may_lock())
		dod_owner_repoison(phys);
	return reported;
}

/*
 * Runs in the place of kasan_report(), in the context of the access, for accesses whose first
 * bad byte is ours or was a moment ago.
 *
 * Returns false, and so does the check that called kasan_report(): the access goes ahead. True
 * would make memcpy() skip the copy, and the user's data would be lost. Unlike kasan_report()
 * it leaves access to user memory (SMAP, PAN) as it is, which objtool forbids modules to
 * change: interrupts are off around all that could schedule.
 */
static bool trapped(const void *addr, size_t size, bool write, unsigned long ip)
{
	unsigned long flags = dod_quiet_begin();
	struct dod_access_verdict v;
	struct dod_access access;

	if (likely(!write && is_allowed_read(addr, size))) {
		dod_access_allow_read((unsigned long)addr, size, ip);
		dod_quiet_end(flags);
		return false;
	}
	access = (struct dod_access) {
		.addr = (unsigned long)addr,
		.size = size,
		.write = write,
		.ip = ip,
	};
	v = dod_kasan_classify_access(&access, _RET_IP_);
	dod_access_trapped(&access, &v);
	dod_quiet_end(flags);
	return v.foreign && report_foreign(&access, &v);
}

/* Runs in the place of kasan_report() for an access of the tool itself. */
static bool let_through(const void *addr, size_t size, bool write, unsigned long ip)
{
	return false;
}

/*
 * Breakpoint context, perhaps inside another probe's handler. No lock, no printing, no
 * unwinding, and no function of the kernel that may be probed or instrumented: kprobes cannot
 * take one more breakpoint there.
 */
static int __kprobes on_report(struct kprobe *p, struct pt_regs *regs)
{
	struct dod_access access = {
		.addr = regs_get_kernel_argument(regs, 0),
		.size = regs_get_kernel_argument(regs, 1),
		.write = (u8)regs_get_kernel_argument(regs, 2),
		.ip = regs_get_kernel_argument(regs, 3),
	};
	struct dod_access_verdict v;

	/* Before the shadow is read: a user address has none. */
	if (!in_linear_map(access.addr, access.size))
		return 0;
	if (raw_cpu_read(dod_quiet) && is_ours_at(access.addr)) {
		/* The tool's own access. It must not trap again and again. */
		dod_count(DOD_C_TRAPS_NESTED);
		instruction_pointer_set(regs, (unsigned long)let_through);
		return 1;
	}
	/* Somebody reads poison on purpose, as in report_suppressed_sw(). */
	if (current->kasan_depth)
		return 0;
	if (unlikely(raw_cpu_read(asked.addr) == access.addr)) {
		dod_set_arg3(regs, raw_cpu_read(asked.ip));
		note_foreign(&access);
		return 0;
	}
	/* Fast path: nothing of such a read is KASAN's. */
	if (access.write || !is_allowed_read((void *)access.addr, access.size)) {
		v = dod_kasan_classify_access(&access, 0);
		if (v.foreign && !v.poisoned) {
			/* KASAN may have made its only report: then the access goes ahead. */
			if (access.write)
				dod_content_invalidate_all();
			note_foreign(&access);
			return 0;
		}
	}
	instruction_pointer_set(regs, (unsigned long)trapped);
	return 1;
}

/* === __kasan_check_byte(), kasan_report_invalid_free() ==================== */

/*
 * Runs in the place of __kasan_check_byte(), with which ksize() and krealloc() ask whether an
 * object is allocated: it is, whoever owns it.
 */
static bool byte_is_accessible(const void *addr, unsigned long ip)
{
	/* krealloc() may clear padding; our own ksize() does not. */
	if (!raw_cpu_read(dod_quiet))
		dod_content_invalidate_all();
	return true;
}

/* Breakpoint context, as on_report(). */
static int __kprobes on_check_byte(struct kprobe *p, struct pt_regs *regs)
{
	unsigned long addr = regs_get_kernel_argument(regs, 0);

	if (!in_linear_map(addr, 1) || !is_ours_at(addr))
		return 0;
	instruction_pointer_set(regs, (unsigned long)byte_is_accessible);
	return 1;
}

/*
 * Runs in the place of kasan_report_invalid_free(): KASAN takes an object whose first granule
 * is ours for freed, and no hook has seen the free. Its caller does not free the object now;
 * the device may still write to it.
 */
static void invalid_free(void *object, unsigned long ip, int type)
{
	dod_free_object(object, ip);
}

/* Breakpoint context, as on_report(). enum kasan_report_type is in mm/kasan/kasan.h. */
static int __kprobes on_invalid_free(struct kprobe *p, struct pt_regs *regs)
{
	const int double_free = 2;
	unsigned long addr = regs_get_kernel_argument(regs, 0);

	if ((int)regs_get_kernel_argument(regs, 2) != double_free || !in_linear_map(addr, 1) ||
	    !is_ours_at(addr))
		return 0;
	instruction_pointer_set(regs, (unsigned long)invalid_free);
	return 1;
}

/* === The probes =========================================================== */

/* The functions of KASAN that we stand in for, and what decides when. */
enum { REPORT, CHECK_BYTE, INVALID_FREE, NR_PROBES };

static const struct {
	const char *function;
	kprobe_pre_handler_t handler;
} probed[NR_PROBES] = {
	[REPORT] = { "kasan_report", on_report },
	[CHECK_BYTE] = { "__kasan_check_byte", on_check_byte },
	[INVALID_FREE] = { "kasan_report_invalid_free", on_invalid_free },
};

static struct kprobe probes[NR_PROBES];

/* Keeps the probe a breakpoint: one optimised to a jump could not redirect. */
static void after_probe(struct kprobe *p, struct pt_regs *regs, unsigned long flags)
{
}

/*
 * Where kprobes sit on ftrace's calls or are jumps, handlers run with interrupts on. Of a
 * breakpoint that is hit meanwhile no pre_handler is called, but the instruction that it
 * replaced is carried out. We carry that out ourselves, and decide first: a read of
 * DMA_TO_DEVICE memory in such an interrupt is legal, and no "unknown-crash" of KASAN's.
 */
#ifdef DOD_KPROBES_EMULATE
/* The number of the register that an instruction pushes, -1 if it is no push. */
static int pushed_register(const struct kprobe *p)
{
	const u8 *insn = p->ainsn.insn;

	if (p->ainsn.size == 1 && (insn[0] & 0xf8) == 0x50)
		return insn[0] & 7;
	if (p->ainsn.size == 2 && insn[0] == 0x41 && (insn[1] & 0xf8) == 0x50)
		return 8 + (insn[1] & 7);
	return -1;
}

static void __kprobes decide_or_push(struct kprobe *p, struct pt_regs *regs)
{
	const unsigned long values[] = {
		regs->ax, regs->cx, regs->dx, regs->bx, regs->sp, regs->bp,
		regs->si, regs->di, regs->r8, regs->r9, regs->r10, regs->r11,
		regs->r12, regs->r13, regs->r14, regs->r15,
	};
	unsigned int i = 0;

	while (i < NR_PROBES - 1 && p->addr != probes[i].addr)
		i++;
	/* Called a second time if the pre_handler already passed it on. */
	if (probed[i].handler(p, regs))
		return;
	int3_emulate_push(regs, values[pushed_register(p)]);
	int3_emulate_jmp(regs, (unsigned long)p->addr + p->ainsn.size);
}

/*
 * Kprobes go by one struct for each address: ours, or a copy of it that stands for all probes
 * there, and outlives ours if there is another.
 */
static struct kprobe *acting_probe(struct kprobe *p)
{
	struct kprobe *other, *acting = p;
	char name[KSYM_SYMBOL_LEN];

	rcu_read_lock();
	list_for_each_entry_rcu(other, &p->list, list) {
		sprint_symbol_no_offset(name, (unsigned long)other->pre_handler);
		if (!strcmp(name, "aggr_pre_handler"))
			acting = other;
	}
	rcu_read_unlock();
	return acting;
}

/* A function that begins otherwise keeps its missed accesses: missed_traps counts them. */
static void step_ourselves(struct kprobe *p)
{
	struct kprobe *acting = acting_probe(p);

	if (acting->ainsn.insn && !acting->ainsn.emulate_op && pushed_register(acting) >= 0)
		WRITE_ONCE(acting->ainsn.emulate_op, decide_or_push);
}

static void step_no_more(struct kprobe *p)
{
	struct kprobe *acting = acting_probe(p);

	if (acting->ainsn.emulate_op == decide_or_push)
		WRITE_ONCE(acting->ainsn.emulate_op, NULL);
}
#else
static void step_ourselves(struct kprobe *p) {}
static void step_no_more(struct kprobe *p) {}
#endif

static void remove_probes(unsigned int nr)
{
	while (nr--) {
		step_no_more(&probes[nr]);
		unregister_kprobe(&probes[nr]);
	}
}

static int add_probes(void)
{
	unsigned int i;
	int err;

	for (i = 0; i < NR_PROBES; i++) {
		/* A probe that was unregistered must be set up anew. */
		probes[i] = (struct kprobe) {
			.symbol_name = probed[i].function,
			.pre_handler = probed[i].handler,
			.post_handler = after_probe,
		};
		err = register_kprobe(&probes[i]);
		if (err) {
			pr_err("cannot probe %s(): error %d\n", probed[i].function, err);
			remove_probes(i);
			return err;
		}
		step_ourselves(&probes[i]);
	}
	if (dod_kasan_set_breakpoint(&probes[REPORT]))
		return 0;
	pr_err("cannot load: kprobes are switched off: write 1 to /sys/kernel/debug/kprobes/enabled\n");
	remove_probes(NR_PROBES);
	return -EOPNOTSUPP;
}

/* === KASAN's own reports ================================================== */

/*
 * Was it our own poison that KASAN has just reported? It found the first value from the access
 * on; it does not tell how long that was.
 */
static bool reported_ours(unsigned long addr)
{
	unsigned long granule, end = round_up(addr + 1, PAGE_SIZE);

	for (granule = round_down(addr, GRANULE); granule < end; granule += GRANULE) {
		u8 value = READ_ONCE(*shadow_of((void *)granule));

		if (value)
			return is_ours(value);
	}
	return false;
}

static void on_error_report_end(void *data, enum error_detector detector, unsigned long addr)
{
	struct dod_mapping m;
	unsigned long flags;
	u64 phys;

	if (detector != ERROR_DETECTOR_KASAN || !dod_may_lock() || !in_linear_map(addr, 1))
		return;
	phys = virt_to_phys((void *)addr);
	/* The probe may have been missed. */
	dod_late_accessed(phys, phys);
	flags = dod_quiet_begin();
	if (dod_owner_find_mapping(NULL, phys, NEAR, &m)) {
		dod_report_annotate(&m, phys);
		dod_count(DOD_C_KASAN_ANNOTATED);
	}
	if (reported_ours(addr)) {
		dod_count(DOD_C_MISSED_TRAPS);
		dod_report_annotate_missed();
		dod_kasan_lost_breakpoint();
	}
	dod_quiet_end(flags);
}

/* === Start and stop ======================================================= */

/**
 * dod_traps_start() - trap accesses from now on
 *
 * Return: 0, or an error after a line that says what is missing.
 */
int dod_traps_start(void)
{
	int err = add_probes();

	if (err)
		return err;
	err = register_trace_error_report_end(on_error_report_end, NULL);
	if (err) {
		pr_err("cannot attach to tracepoint error_report_end: error %d\n", err);
		remove_probes(NR_PROBES);
	}
	return err;
}

/* Trap no more, once nothing is poisoned. Nothing runs here afterwards. */
void dod_traps_stop(void)
{
	unregister_trace_error_report_end(on_error_report_end, NULL);
	remove_probes(NR_PROBES);
	tracepoint_synchronize_unregister();
	/*
	 * trapped() runs in the context of the access, where it can be preempted: wait for
	 * tasks, and for interrupts of idle CPUs.
	 */
	synchronize_rcu_tasks();
	synchronize_rcu();
}
