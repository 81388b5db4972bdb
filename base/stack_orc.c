// SPDX-License-Identifier: GPL-2.0
/*
 * The stack of a call on x86, by rules that are learnt from the kernel's ORC unwinder.
 *
 * Nearly all of what the unwinder costs is finding the ORC entry of each return address, and
 * starting inside our own functions. So we start at the caller, whose registers ftrace has
 * saved, and remember what ORC says of a return address: where its function's caller left its
 * return address and its frame pointer, as offsets from the stack pointer or the frame pointer.
 *
 * Why the frames are those that the unwinder finds:
 *
 * - A rule is not a guess from one stack. The unwinder is called with a stack of ours on which
 *   each word says where it lies, and with the frame pointer in two places: so we see which word
 *   it reads, and relative to which register. A rule that does not lead from the present frame
 *   to just where the unwinder goes from there is not kept.
 * - ORC is a function of the return address, as long as the same code is there. Only code of the
 *   kernel and of modules has rules, and when a module comes or goes, all are forgotten: before
 *   its first instruction runs, and after its last one. Of memory that the kernel itself writes
 *   code to (trampolines, BPF) there are none.
 * - Every step reads the return address from the stack as it is now. Of a chain of callers
 *   nothing is remembered.
 * - The unwinder goes on where there is no rule: in interrupted code, from one stack to another,
 *   at return addresses that the function graph tracer or a kretprobe has replaced (the unwinder
 *   never continues from those, so they never have a rule).
 *
 * No locks here: a rule is one word, so that all CPUs may look up and add rules at any time. Of two
 * that are added at once one can be lost, and is learnt again. dod_orc_save() is called in any
 * context but NMI.
 */
#include "compat.h"
#include "lock.h"
#include "stack.h"

#include <linux/hash.h>
#include <linux/kallsyms.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/percpu.h>
#include <linux/sched/task_stack.h>
#include <linux/string.h>

#include <asm/unwind.h>

#define WORD		((long)sizeof(long))

/* How a function's caller is found, at a return address into the function. */
enum {
	AT_SP,		/* its frame ends @off words from the stack pointer */
	AT_BP,		/* from the frame pointer */
	INDIRECT_BP,	/* where the word at that place points to */
	REGS,		/* an exception: its registers lie @off words from the stack pointer */
};

/* And the caller's frame pointer. */
enum {
	SAME_BP,	/* it was not saved */
	BP_FROM_BASE,	/* it was, @bp_off words from what @off counts from */
	BP_FROM_OTHER,	/* from the other one of the two pointers */
	OTHER,		/* neither: see @off */
};

/* @off of OTHER. */
enum {
	OUTERMOST = 1,	/* there is no caller */
	NO_RULE,	/* there is no rule; the unwinder need not be asked again */
};

union rule {
	u64 word;	/* 0: there is none */
	struct {
		u32 ip;	/* the return address; all code has the same upper half */
		s16 off;
		u16 kind : 2, bp_kind : 2;
		s16 bp_off : 12;
	};
};

/* Bits of the last 16, for step_simply(). */
#define HOW_AT_BP	BIT(0)		/* kind is AT_BP, if HOW_HARD is not there */
#define HOW_SAVED_BP	BIT(2)		/* bp_kind is BP_FROM_BASE, likewise */
#define HOW_HARD	(BIT(1) | BIT(3))	/* something else */
#define HOW_BP_SHIFT	4

static_assert(sizeof(union rule) == sizeof(u64));

#define SET_BITS	10
#define WAYS		4U
static u64 rules[1 << SET_BITS][WAYS];

/* The stack of interrupts, once one was unwound on this CPU; it stays where it is. */
struct bounds {
	unsigned long begin, end;
};

static DEFINE_PER_CPU(struct bounds, irq_stack);

/* The stack that the unwinder is called with: each word is its own address and MARK. */
#define NR_WORDS	1024
#define MARK		4
#define SP_AT		16
#define BP_AT		896
#define BP_SHIFT	64
static unsigned long words[NR_WORDS];

/* === Rules ================================================================ */

/* False if there is none. */
static __always_inline bool find_rule(unsigned long ip, union rule *rule)
{
	const u64 *set = rules[hash_32((u32)ip, SET_BITS)];
	unsigned int i;

	rule->word = READ_ONCE(set[0]);
	for (i = 1; unlikely(rule->ip != (u32)ip) && i < WAYS; i++)
		rule->word = READ_ONCE(set[i]);
	return likely(rule->ip == (u32)ip && ip >> 32 == U32_MAX);
}

static void add_rule(union rule rule)
{
	static unsigned int next;
	u64 *set = rules[hash_32(rule.ip, SET_BITS)];
	unsigned int i;

	for (i = 0; i < WAYS; i++)
		if (!READ_ONCE(set[i]))
			break;
	if (i == WAYS) {
		i = READ_ONCE(next) % WAYS;
		WRITE_ONCE(next, i + 1);
	}
	WRITE_ONCE(set[i], rule.word);
}

static void forget_rules(void)
{
	unsigned int i, way;

	for (i = 0; i < ARRAY_SIZE(rules); i++)
		for (way = 0; way < WAYS; way++)
			WRITE_ONCE(rules[i][way], 0);
}

static bool read_stack(const struct bounds *stack, unsigned long addr, unsigned long *value)
{
	if (addr < stack->begin || addr > stack->end - WORD || addr % WORD)
		return false;
	*value = READ_ONCE(*(unsigned long *)addr);
	return true;
}

enum step { STEPPED, ENDED, UNKNOWN };

/*
 * An exception: of user space, where the stack ends, or of the kernel. The registers
 * that a new kernel thread begins with are empty.
 */
static enum step step_regs(const struct bounds *stack, unsigned long addr)
{
	struct pt_regs *regs = (struct pt_regs *)addr;
	unsigned long value;

	if (!read_stack(stack, (unsigned long)&regs->ip, &value) ||
	    !read_stack(stack, (unsigned long)&regs->ss, &value))
		return UNKNOWN;
	return user_mode(regs) || !regs->ip ? ENDED : UNKNOWN;
}

/* Moves @site from a function to its caller, if the rule of its return address can. */
static enum step step(const struct bounds *stack, union rule rule, struct dod_site *site)
{
	bool by_bp = rule.kind == AT_BP || rule.kind == INDIRECT_BP;
	unsigned long base = by_bp ? site->bp : site->sp;
	unsigned long other = by_bp ? site->sp : site->bp;
	unsigned long sp = site->sp, bp = site->bp, at, ip;

	if (rule.bp_kind == OTHER)
		return rule.off == OUTERMOST ? ENDED : UNKNOWN;
	at = base + rule.off * WORD;
	if (rule.kind == REGS)
		return step_regs(stack, at);
	if (rule.kind == INDIRECT_BP && !read_stack(stack, at, &at))
		return UNKNOWN;
	if (at <= sp || !read_stack(stack, at - WORD, &ip))
		return UNKNOWN;
	if (rule.bp_kind == BP_FROM_BASE && !read_stack(stack, base + rule.bp_off * WORD, &bp))
		return UNKNOWN;
	if (rule.bp_kind == BP_FROM_OTHER && !read_stack(stack, other + rule.bp_off * WORD, &bp))
		return UNKNOWN;
	site->ip = ip;
	site->sp = at;
	site->bp = bp;
	return STEPPED;
}

/* === Learning from the unwinder =========================================== */

/* Code that comes and goes only with a module. */
static noinline bool is_lasting_text(unsigned long ip)
{
	char name[KSYM_SYMBOL_LEN] DOD_UNINITIALIZED;
	const char *in;

	sprint_symbol(name, ip);
	in = strchr(name, '[');
	return !strstarts(name, "0x") &&
	       !(in && (strstarts(in, "[bpf]") || strstarts(in, "[__builtin__")));
}

/* Where does the unwinder go from a return address, on the stack of @words? */
static bool ask(const struct unwind_state *at, unsigned long bp, struct unwind_state *answer)
{
	*answer = *at;
	answer->stack_info.begin = words;
	answer->stack_info.end = words + NR_WORDS;
	answer->sp = (unsigned long)&words[SP_AT];
	answer->bp = bp;
	/* So that the unwinder prints nothing, whatever it finds. */
	answer->error = true;
	return unwind_next_frame(answer);
}

/* Which word holds @value, counted from @from? False if none does. */
static bool where(unsigned long value, unsigned long from, long *off)
{
	*off = (long)(value - MARK - from) / WORD;
	return value % WORD == MARK;
}

static bool rule_of_frame(const struct unwind_state *a, unsigned long bp_a,
			  const struct unwind_state *b, unsigned long bp_b, union rule *rule)
{
	unsigned long sp = (unsigned long)&words[SP_AT];
	unsigned long shift = bp_b - bp_a;
	long off;

	if (b->sp == a->sp && a->sp % WORD == 0) {
		rule->kind = AT_SP;
		off = (long)(a->sp - sp) / WORD;
	} else if (b->sp - a->sp == shift && a->sp % WORD == 0) {
		rule->kind = AT_BP;
		off = (long)(a->sp - bp_a) / WORD;
	} else if (b->sp - a->sp == shift && where(a->sp, bp_a, &off)) {
		rule->kind = INDIRECT_BP;
	} else {
		return false;
	}
	rule->off = off;

	if (a->bp == bp_a && b->bp == bp_b) {
		rule->bp_kind = SAME_BP;
		off = 0;
	} else if (a->bp == b->bp && where(a->bp, sp, &off)) {
		rule->bp_kind = rule->kind == AT_SP ? BP_FROM_BASE : BP_FROM_OTHER;
	} else if (b->bp - a->bp == shift && where(a->bp, bp_a, &off)) {
		rule->bp_kind = rule->kind == AT_SP ? BP_FROM_OTHER : BP_FROM_BASE;
	} else {
		return false;
	}
	rule->bp_off = off;
	/* No compiler does otherwise, and step_simply() relies on it. */
	return rule->kind > AT_BP || rule->bp_kind > BP_FROM_BASE ||
	       (rule->off > 0 && rule->bp_off >= 0 && rule->bp_off < rule->off);
}

/* The unwinder went from @from to @to: adds the rule that does the same, if there is one. */
static noinline void learn(const struct unwind_state *from, const struct unwind_state *to)
{
	const unsigned long bp_a = (unsigned long)&words[BP_AT];
	const unsigned long bp_b = bp_a + BP_SHIFT * WORD;
	union rule rule = { .ip = (u32)from->ip };
	struct dod_site site = { from->ip, from->sp, from->bp };
	struct bounds stack = {
		.begin = from->sp,
		.end = (unsigned long)from->stack_info.end,
	};
	union rule known;
	bool asked;
	struct unwind_state a DOD_UNINITIALIZED, b DOD_UNINITIALIZED;

	if (from->regs || from->signal || from->error || to->error ||
	    from->ip >> 32 != U32_MAX || find_rule(from->ip, &known) || !is_lasting_text(from->ip))
		return;
	if (unwind_done((struct unwind_state *)to)) {
		rule.bp_kind = OTHER;
		rule.off = OUTERMOST;
		add_rule(rule);
		return;
	}
	asked = ask(from, bp_a, &a) && ask(from, bp_b, &b);
	if (asked && to->regs && a.regs == b.regs) {
		rule.kind = REGS;
		rule.off = (long)((unsigned long)a.regs - (unsigned long)&words[SP_AT]) / WORD;
		if ((unsigned long)to->regs == from->sp + rule.off * WORD)
			add_rule(rule);
	} else if (asked && !a.regs && !b.regs && !to->signal &&
		   rule_of_frame(&a, bp_a, &b, bp_b, &rule)) {
		if (step(&stack, rule, &site) == STEPPED && site.ip == to->ip &&
		    site.sp == to->sp && site.bp == to->bp)
			add_rule(rule);
	} else {
		rule.bp_kind = OTHER;
		rule.off = NO_RULE;
		add_rule(rule);
	}
}

/* === Walking ============================================================== */

static bool find_bounds(unsigned long sp, struct bounds *stack)
{
	unsigned long task = (unsigned long)task_stack_page(current);

	stack->begin = sp;
	stack->end = task + THREAD_SIZE;
	if (likely(sp >= task && sp < stack->end))
		return true;
	/* On another stack nothing moves us to another CPU. */
	stack->end = raw_cpu_read(irq_stack.end);
	return sp >= raw_cpu_read(irq_stack.begin) && sp < stack->end;
}

static void note_bounds(const struct stack_info *info)
{
	if (info->type != STACK_TYPE_IRQ || raw_cpu_read(irq_stack.end))
		return;
	raw_cpu_write(irq_stack.begin, (unsigned long)info->begin);
	raw_cpu_write(irq_stack.end, (unsigned long)info->end);
}

/*
 * Where both the return address and the frame pointer lie at a fixed distance above the
 * same pointer, which is nearly everywhere; see rule_of_frame(). The stack pointer is
 * inside of the stack, and aligned.
 */
static __always_inline bool step_simply(unsigned long end, union rule rule, unsigned long *ip,
					unsigned long *sp, unsigned long *bp)
{
	unsigned long base = *sp, at;
	s16 how = rule.word >> 48;

	if (unlikely(how & HOW_HARD))
		return false;
	if (how & HOW_AT_BP) {
		base = *bp;
		if (base < *sp || base >= end || base % WORD)
			return false;
	}
	at = base + rule.off * WORD;
	if (unlikely(at > end))
		return false;
	if (how & HOW_SAVED_BP)
		*bp = READ_ONCE(((unsigned long *)base)[how >> HOW_BP_SHIFT]);
	*ip = READ_ONCE(((unsigned long *)at)[-1]);
	*sp = at;
	return true;
}

/*
 * By the rules, as far as there are any. Returns the number of frames, and in *site
 * the last of them if there are more. Each instruction of the loop counts: it is a third
 * of what a mapping costs.
 */
static unsigned int walk(struct dod_site *site, unsigned long *frames,
			 unsigned int depth, bool *more)
{
	unsigned long ip = site->ip, sp = site->sp, bp = site->bp, last_sp, last_bp;
	struct bounds stack;
	unsigned int nr = 0;
	union rule rule;

	*more = true;
	if (!find_bounds(sp, &stack) || sp % WORD)
		return 0;
	/* A return address that has a rule is in code, as the unwinder would check. */
	while (find_rule(ip, &rule)) {
		struct dod_site next;
		enum step stepped;

		last_sp = sp;
		last_bp = bp;
		frames[nr++] = ip;
		if (nr == depth) {
			*more = false;
			break;
		}
		if (likely(step_simply(stack.end, rule, &ip, &sp, &bp)))
			continue;
		next = (struct dod_site){ ip, sp, bp };
		stepped = step(&stack, rule, &next);
		if (stepped == ENDED)
			*more = false;
		if (stepped != STEPPED)
			break;
		ip = next.ip;
		sp = next.sp;
		bp = next.bp;
	}
	if (nr) {
		site->ip = frames[nr - 1];
		site->sp = last_sp;
		site->bp = last_bp;
	}
	return nr;
}

/* The rest, by the unwinder, which begins elsewhere on the same stack. */
static noinline unsigned int unwind(const struct dod_site *site, unsigned long *frames,
				    unsigned int nr, unsigned int depth)
{
	struct unwind_state state DOD_UNINITIALIZED, from DOD_UNINITIALIZED;

	unwind_start(&state, current, NULL, NULL);
	if (unwind_done(&state) || !on_stack(&state.stack_info, (void *)site->sp, WORD))
		return nr;
	note_bounds(&state.stack_info);
	state.ip = site->ip;
	state.sp = site->sp;
	state.bp = site->bp;
	state.regs = NULL;
	state.prev_regs = NULL;
	state.full_regs = false;
	state.signal = false;
	state.error = false;
	if (!nr)
		frames[nr++] = site->ip;
	for (;;) {
		unsigned long addr;

		from = state;
		unwind_next_frame(&state);
		learn(&from, &state);
		addr = unwind_get_return_address(&state);
		if (!addr || nr == depth)
			return nr;
		frames[nr++] = addr;
	}
}

/**
 * dod_orc_save() - dod_stack_save(), by rules
 * @caller: the caller, and its stack and frame pointer after the call
 * @frames: filled in: return addresses, from the caller outwards
 * @depth: how many at most
 *
 * Return: how many there are, 0 if they cannot be had in this way.
 */
unsigned int dod_orc_save(const struct dod_site *caller, unsigned long *frames, unsigned int depth)
{
	struct dod_site site = *caller;
	unsigned long flags;
	unsigned int nr;
	bool more;

	/* Another user of ftrace may have put its own there. */
	if (READ_ONCE(((unsigned long *)site.sp)[-1]) != site.ip)
		return 0;
	nr = walk(&site, frames, depth, &more);
	if (likely(!more))
		return nr;
	flags = dod_quiet_begin();
	nr = unwind(&site, frames, nr, depth);
	dod_quiet_end(flags);
	return nr;
}

/* Runs before any code of a new module does, and after all of one that is gone. */
static int on_module(struct notifier_block *nb, unsigned long state, void *mod)
{
	if (state == MODULE_STATE_COMING || state == MODULE_STATE_GOING)
		forget_rules();
	return NOTIFY_OK;
}

static struct notifier_block module_nb = { .notifier_call = on_module };

/**
 * dod_orc_start() - get ready for dod_orc_save()
 *
 * Return: 0 or an error.
 */
int dod_orc_start(void)
{
	unsigned int i;

	forget_rules();
	for (i = 0; i < NR_WORDS; i++)
		words[i] = (unsigned long)&words[i] + MARK;
	return register_module_notifier(&module_nb);
}

/* After the last dod_orc_save(). */
void dod_orc_stop(void)
{
	unregister_module_notifier(&module_nb);
}
