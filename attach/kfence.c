// SPDX-License-Identifier: GPL-2.0
/*
 * Where accesses to protected objects of KFENCE come in: an ftrace hook in the place of
 * fixup_exception(), which the kernel asks first about each fault that it does not expect. Later
 * it would be too late: user copies, and whatever else has an entry in the exception table, would
 * have failed by then. A second hook, at __kfence_free(), sees every object go.
 *
 * Runs in the context of the access, with interrupts off, with any lock of the kernel held, or the
 * tool's own. Takes none itself.
 */
#include "../base/compat.h"
#include "../base/lock.h"
#include "../base/params.h"
#include "../base/state.h"
#include "../base/stats.h"
#include "../guard/kfence.h"
#include "../judge/access.h"
#include "../judge/judge.h"
#include "../owner/owner.h"
#include "attach.h"

#include <linux/ftrace.h>
#include <linux/notifier.h>
#include <linux/rcupdate.h>
#include <linux/suspend.h>
#include <linux/workqueue.h>

#include <asm/trap_pf.h>
#include <asm/trapnr.h>

/* === How much an instruction accesses ===================================== */

static bool is_string(u8 op)
{
	return (op >= 0xa4 && op <= 0xa7) || (op >= 0xaa && op <= 0xaf);
}

/* Is it an opcode of one byte whose lowest bit chooses between a byte and a whole operand? */
static bool is_byte_or_whole(u8 op, u8 modrm)
{
	return (op < 0x40 && op % 8 < 4) ||		/* add ... cmp */
	       op == 0x69 || op == 0x6b ||		/* imul */
	       (op >= 0x80 && op <= 0x8b) ||		/* add ... cmp, test, xchg, mov */
	       op == 0xc0 || op == 0xc1 || (op >= 0xd0 && op <= 0xd3) ||	/* shifts */
	       op == 0xc6 || op == 0xc7 ||		/* mov */
	       op == 0xf6 || op == 0xf7 ||		/* test, not, neg, mul, div */
	       (op >= 0xfe && (modrm & 0x38) < 0x10) ||	/* inc, dec */
	       is_string(op);
}

static unsigned int size_of_two_byte_opcode(u8 op, unsigned int whole)
{
	switch (op) {
	case 0x40 ... 0x4f:	/* cmov */
	case 0xa3: case 0xab: case 0xb3: case 0xba: case 0xbb:	/* bt, bts, btr, btc */
	case 0xaf:		/* imul */
	case 0xb1: case 0xc1:	/* cmpxchg, xadd */
	case 0xc3:		/* movnti */
		return whole;
	case 0xb0: case 0xc0:	/* the same of a byte */
	case 0xb6: case 0xbe:	/* movzx, movsx */
	case 0x90 ... 0x9f:	/* setcc */
		return 1;
	case 0xb7: case 0xbf:
		return 2;
	}
	return 0;
}

/*
 * The bytes that an instruction of the kernel's accesses from @addr on, up to the end of the page.
 * Only what compilers make of C, and string instructions. Returns 0 for others.
 */
static size_t access_size(const struct pt_regs *regs, unsigned long addr)
{
	const u8 *op = (const u8 *)regs->ip;
	size_t size, left = PAGE_SIZE - offset_in_page(addr);
	bool repeated = false;
	unsigned int whole = 4;

	for (;; op++) {
		if (*op == 0x66)
			whole = 2;
		else if (*op == 0xf2 || *op == 0xf3)
			repeated = true;
		else if (*op != 0xf0 && *op != 0x2e && *op != 0x3e && *op != 0x65)
			break;
	}
	if ((*op & 0xf0) == 0x40 && *op++ & 8)
		whole = 8;
	if (*op == 0x0f)
		size = repeated ? 0 : size_of_two_byte_opcode(op[1], whole);
	else if (*op == 0x63)
		size = 4;
	else if (is_byte_or_whole(op[0], op[1]))
		size = *op & 1 ? whole : 1;
	else
		size = 0;
	if (repeated && is_string(*op) && regs->cx && !(regs->flags & X86_EFLAGS_DF))
		size = regs->cx < left / size ? regs->cx * size : left;
	return min(size, left);
}

/*
 * Is it perhaps a word of which only the first bytes are meant? load_unaligned_zeropad() and
 * read_word_at_a_time() load such at the end of what csum_partial(), siphash() or strscpy() read.
 * Of one that crosses the end of the page, @access has what is before.
 */
static bool may_read_too_far(const struct dod_access *access)
{
	return !access->write &&
	       (access->size == sizeof(long) ||
		(access->size < sizeof(long) && PAGE_ALIGNED(access->addr + access->size)));
}

/* === Faults =============================================================== */

static void judge(struct dod_access *access)
{
	u64 page = virt_to_phys((void *)(access->addr & PAGE_MASK));
	struct dod_access_verdict v;
	unsigned long flags;

	/* The tool's own. The locks that it may hold are not to be taken. */
	if (dod_may_lock() && raw_cpu_read(dod_quiet)) {
		dod_count(DOD_C_TRAPS_NESTED);
		if (access->write)
			dod_content_invalidate_all();
		return;
	}
	flags = dod_quiet_begin();
	v = dod_kfence_scan(access->addr, access->addr + access->size - 1, access->write);
	/* As KASAN checks read_word_at_a_time(), by the first byte. */
	if (v.owned > access->addr && may_read_too_far(access)) {
		dod_count(DOD_C_KFENCE_OVERREAD);
		v = dod_kfence_scan(access->addr, access->addr, false);
	}
	/* From now on writes to the page are not seen, and reports must not claim that they are. */
	if (access->write && !dod_may_lock())
		dod_content_invalidate_all();
	else if (access->write && (v.owned || dod_guard.traps))
		dod_owner_seen_write(page, PAGE_SIZE);
	if (v.poisoned)
		dod_access_trapped(access, &v);
	else
		dod_count(access->or_more ? DOD_C_KFENCE_UNSIZED : DOD_C_KFENCE_BESIDE);
	dod_quiet_end(flags);
}

/* Returns whether the access is to be made again. */
static bool on_fault(const struct pt_regs *regs, unsigned long error_code, unsigned long addr)
{
	bool write = error_code & X86_PF_WRITE;
	struct dod_access access = {
		.addr = addr, .write = write, .fault = true, .ip = regs->ip,
	};

	if (error_code & ~(X86_PF_PROT | X86_PF_WRITE))
		return false;
	switch (dod_kfence_fault(addr, write)) {
	case DOD_KFENCE_NOT_OURS:
		return false;
	case DOD_KFENCE_AGAIN:
		return true;
	case DOD_KFENCE_TRAPPED:
		break;
	}
	access.size = access_size(regs, addr);
	if (!access.size) {
		access.size = 1;
		access.or_more = true;
	}
	if (!dod_kfence_is_repeated(addr, regs->ip))
		judge(&access);
	dod_kfence_open(addr, regs->ip, write);
	return true;
}

/* Stands in for fixup_exception(): its caller returns to the access. */
static int make_it_again(struct pt_regs *regs, int trapnr, unsigned long error_code,
			 unsigned long addr)
{
	return 1;
}

/* Of the self-test: an address whose fault nobody handles, and whether it came. */
static unsigned long expected;
static bool came;

/* fixup_exception(regs, trapnr, error_code, addr) */
static void on_fixup_exception(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
			       struct ftrace_regs *fregs)
{
	unsigned long addr = dod_arg(fregs, 3);

	if ((int)dod_arg(fregs, 1) != X86_TRAP_PF)
		return;
	if (unlikely(addr == READ_ONCE(expected)) && !(dod_arg(fregs, 2) & X86_PF_WRITE))
		WRITE_ONCE(came, true);
	if (on_fault((struct pt_regs *)dod_arg(fregs, 0), dod_arg(fregs, 2), addr))
		instruction_pointer_set(ftrace_get_regs(fregs), (unsigned long)make_it_again);
}

/*
 * PERMANENT as the hooks of ftrace.c: without the hook, an access to a protected page is an oops.
 * Not RECURSION: an access of the tool's own comes in while another is judged.
 */
static struct ftrace_ops fault_ops = {
	.func = on_fixup_exception,
	.flags = FTRACE_OPS_FL_SAVE_REGS | FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_PERMANENT,
};

/* __kfence_free(object): also of objects that are freed in bulk, which no tracepoint shows. */
static void on_kfence_free(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
			   struct ftrace_regs *fregs)
{
	const void *object = (const void *)dod_arg(fregs, 0);

	if (dod_in_panic())
		return;
	dod_free_object(object, parent_ip);
	dod_kfence_freed(object);
}

static struct ftrace_ops free_ops = {
	.func = on_kfence_free,
	.flags = FTRACE_OPS_FL_PERMANENT | DOD_FTRACE_FLAGS,
};

/* === Hibernation ========================================================== */

static int on_pm_event(struct notifier_block *nb, unsigned long event, void *unused)
{
	if (event == PM_HIBERNATION_PREPARE || event == PM_POST_HIBERNATION)
		dod_kfence_hold_open(event == PM_HIBERNATION_PREPARE);
	return NOTIFY_OK;
}

static struct notifier_block pm_nb = { .notifier_call = on_pm_event };

/* A hibernation that is under way has sent its first event: wait until it is over. */
static void watch_hibernation(void)
{
	unsigned int flags = lock_system_sleep();

	register_pm_notifier(&pm_nb);
	unlock_system_sleep(flags);
}

/* === Start and stop ======================================================= */

static bool started;

/* The first page of the pool is a guard page of KFENCE's. Not if an access has opened it. */
static bool faults_come(void)
{
	unsigned long addr = (unsigned long)__kfence_pool;
	u8 byte;

	if (dod_kfence_present(virt_to_phys((void *)addr)))
		addr += KFENCE_POOL_SIZE - PAGE_SIZE;
	came = false;
	WRITE_ONCE(expected, addr);
	dod_memory_read(virt_to_phys((void *)addr), &byte, 1);
	WRITE_ONCE(expected, 0);
	return came;
}

#define ATTACH_PERIOD	HZ

/* KFENCE can be switched on later, and gets its pool only then. */
static void attach(struct work_struct *work)
{
	if (!dod_kfence_is_ready()) {
		schedule_delayed_work(to_delayed_work(work), ATTACH_PERIOD);
		return;
	}
	if (!faults_come())
		pr_info("objects of KFENCE are not trapped: the hook of fixup_exception() does not run\n");
	else if (!dod_kfence_attach())
		pr_info("objects of KFENCE are not trapped: no memory\n");
	else
		pr_info("objects of KFENCE that a device owns are protected\n");
}

static DECLARE_DEFERRABLE_WORK(attach_work, attach);

static int hook(struct ftrace_ops *ops, char *function)
{
	int err = ftrace_set_filter(ops, function, strlen(function), 1);

	if (!err)
		err = register_ftrace_function(ops);
	if (err) {
		pr_info("objects of KFENCE are not trapped: %s() cannot be hooked, error %d%s\n",
			function, err, err == -EBUSY ? " (by a live patch?)" : "");
		ftrace_free_filter(ops);
	}
	return err;
}

static void unhook(struct ftrace_ops *ops)
{
	dod_unhook(ops);
	ftrace_free_filter(ops);
}

/**
 * dod_kfence_start() - protect objects of KFENCE from now on, or say why not
 */
void dod_kfence_start(void)
{
	char fault[] = "fixup_exception", free[] = "__kfence_free";

	if (!dod_params.kfence)
		return;
	if (boot_cpu_has(X86_FEATURE_XENPV)) {
		pr_info("objects of KFENCE are not trapped: Xen manages the page tables\n");
		return;
	}
	if (hook(&free_ops, free))
		return;
	if (hook(&fault_ops, fault)) {
		unhook(&free_ops);
		return;
	}
	watch_hibernation();
	started = true;
	attach(&attach_work.work);
	/* KASAN traps all other objects. */
	if (!kfence_sample_interval && !dod_guard.traps)
		pr_info("KFENCE is off: to have some objects trapped, echo 100 >/sys/module/kfence/parameters/sample_interval\n");
}

/**
 * dod_kfence_stop() - the same, when no device owns anything and no hook runs any more
 */
void dod_kfence_stop(void)
{
	if (!started)
		return;
	started = false;
	cancel_delayed_work_sync(&attach_work);
	unregister_pm_notifier(&pm_nb);
	dod_kfence_hold_open(false);
	dod_kfence_unprotect();
	unhook(&free_ops);
	unhook(&fault_ops);
	/* Callbacks, and make_it_again(), run where they can be preempted, or in an NMI. */
	synchronize_rcu_tasks();
	synchronize_rcu();
	dod_kfence_detach();
}
