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
 * - Every step reads the return address from the stack as it is now.
 * - The unwinder goes on where there is no rule: in interrupted code, from one stack to another,
 *   at return addresses that the function graph tracer or a kretprobe has replaced (the unwinder
 *   never continues from those, so they never have a rule).
 *
 * A walk by rules alone is remembered, with what it read of the stack, as a chain: the return
 * addresses, and those saved frame pointers that a rule counted from. A walk is a function of these
 * words, the caller's registers and the rules, and moves with the stack pointer. So a later call
 * whose stack has the same return addresses in the same places, and the same frame pointers,
 * counted from the stack pointer, has the same frames. All are compared, each time: a chain says
 * where to look and not what is there. When rules are forgotten, so are all chains.
 *
 * No locks here: a rule is one word, so that all CPUs may look up and add rules at any time. Of two
 * that are added at once one can be lost, and is learnt again. Chains are a CPU's own, used with
 * interrupts off. dod_orc_save() is called in any context but NMI.
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

/* The most addresses on the stack, nearly all of them saved frame pointers, that a chain has. */
#define NR_SAVED	10

/*
 * A remembered walk. Where words lie, and frame pointers, are in bytes from where the
 * caller's return address lies.
 */
struct chain {
	u32 tag;		/* of which generation and depth; 0: there is none */
	u8 nr, nr_saved;
	u16 span;		/* all words lie below it */
	u16 bp;			/* the caller's frame pointer, 0 if no rule counted from it */
	u16 regs;		/* where the stack ended in registers, 0 if it did not */
	struct {
		u16 at, value;
	} saved[NR_SAVED];
	/* An even number is compared: the last is there twice if @nr is odd. */
	u16 at[DOD_MAP_FRAMES];
	struct dod_frame frames[DOD_MAP_FRAMES];
};

static_assert(DOD_MAP_FRAMES % 2 == 0 && DOD_SYNC_FRAMES % 2 == 0);
static_assert(THREAD_SIZE <= U16_MAX && IRQ_STACK_SIZE <= U16_MAX);

#define CHAIN_BITS	6
struct chains {
	struct chain chain[1 << CHAIN_BITS];
};

static struct chains __percpu *chains;
static u32 generation;		/* when rules were forgotten last, counted in steps of GENERATION */

/* The depth is in the rest of a tag. */
#define GENERATION	(DOD_MAP_FRAMES + 1)

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
	WRITE_ONCE(generation, generation + GENERATION);
}

static bool read_stack(const struct bounds *stack, unsigned long addr, unsigned long *value)
{
	if (addr < stack->begin || addr > stack->end - WORD || addr % WORD)
		return false;
	*value = READ_ONCE(*(unsigned long *)addr);
	return true;
}

enum step { STEPPED, ENDED, UNKNOWN };

/* The registers that a new kernel thread begins with are empty. */
static bool is_outermost(struct pt_regs *regs)
{
	return user_mode(regs) || !regs->ip;
}

/* An exception: of user space, where the stack ends, or of the kernel. */
static enum step step_regs(const struct bounds *stack, unsigned long addr)
{
	struct pt_regs *regs = (struct pt_regs *)addr;
	unsigned long value;

	if (!read_stack(stack, (unsigned long)&regs->ip, &value) ||
	    !read_stack(stack, (unsigned long)&regs->ss, &value))
		return UNKNOWN;
	return is_outermost(regs) ? ENDED : UNKNOWN;
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

/* Are the next @span bytes on the stack, too? */
static __always_inline bool is_within(unsigned long sp, unsigned long span)
{
	struct bounds stack;

	if (likely(sp - (unsigned long)task_stack_page(current) <= THREAD_SIZE - span))
		return true;
	return find_bounds(sp, &stack) && stack.end - sp >= span;
}

static void note_bounds(const struct stack_info *info)
{
	if (info->type != STACK_TYPE_IRQ || raw_cpu_read(irq_stack.end))
		return;
	raw_cpu_write(irq_stack.begin, (unsigned long)info->begin);
	raw_cpu_write(irq_stack.end, (unsigned long)info->end);
}

/* Adds the address on the stack that was read @at there. False if there is no room. */
static bool note_saved(struct chain *c, unsigned long base, unsigned long at, unsigned long value)
{
	unsigned int i = c->nr_saved;

	if (i == NR_SAVED || value - base > U16_MAX)
		return false;
	c->saved[i].at = at - base;
	c->saved[i].value = value - base;
	c->nr_saved = i + 1;
	return true;
}

/*
 * A rule counts from the frame pointer, which was read @at there, or, if that is 0, is the
 * caller's. False if the chain cannot be remembered.
 */
static bool note_bp(struct chain *c, unsigned long base, unsigned long at, unsigned long bp)
{
	if (at)
		return note_saved(c, base, at, bp);
	c->bp = bp - base;
	return c->bp && c->bp == bp - base;
}

/* What a walk is about to step from. */
struct walker {
	struct dod_site site;
	struct bounds stack;
	unsigned long base;	/* where the caller's return address lies */
	unsigned long bp_at;	/* where the frame pointer was read, 0 if it is the caller's */
	bool fits;		/* the chain can be remembered */
};

/*
 * Where both the return address and the frame pointer lie at a fixed distance above the
 * same pointer, which is nearly everywhere; see rule_of_frame(). The stack pointer is
 * inside of the stack, and aligned.
 */
static __always_inline bool step_simply(struct walker *w, struct chain *c, union rule rule)
{
	unsigned long base = w->site.sp, at;
	s16 how = rule.word >> 48;

	if (unlikely(how & HOW_HARD))
		return false;
	if (how & HOW_AT_BP) {
		base = w->site.bp;
		if (base < w->site.sp || base >= w->stack.end || base % WORD)
			return false;
		w->fits &= note_bp(c, w->base, w->bp_at, base);
	}
	at = base + rule.off * WORD;
	if (unlikely(at > w->stack.end))
		return false;
	if (how & HOW_SAVED_BP) {
		w->bp_at = base + (how >> HOW_BP_SHIFT) * WORD;
		w->site.bp = READ_ONCE(*(unsigned long *)w->bp_at);
	}
	w->site.ip = READ_ONCE(((unsigned long *)at)[-1]);
	w->site.sp = at;
	return true;
}

/* By any other rule: the saved frame pointer may lie above the return address. */
static noinline enum step step_hard(struct walker *w, struct chain *c, union rule rule)
{
	bool by_bp = rule.kind == AT_BP || rule.kind == INDIRECT_BP;
	unsigned long sp = w->site.sp, bp = w->site.bp, at = by_bp ? bp : sp, span;
	enum step stepped = step(&w->stack, rule, &w->site);

	at += rule.off * WORD;
	if (stepped == ENDED && rule.bp_kind != OTHER) {
		c->regs = at - w->base;
		c->span = max_t(unsigned long, c->span, c->regs + sizeof(struct pt_regs));
	}
	if (stepped != STEPPED)
		return stepped;
	if (by_bp || rule.bp_kind == BP_FROM_OTHER)
		w->fits &= note_bp(c, w->base, w->bp_at, bp);
	if (rule.kind == INDIRECT_BP)
		w->fits &= note_saved(c, w->base, at, w->site.sp);
	if (rule.bp_kind == BP_FROM_BASE)
		w->bp_at = (by_bp ? bp : sp) + rule.bp_off * WORD;
	else if (rule.bp_kind == BP_FROM_OTHER)
		w->bp_at = (by_bp ? sp : bp) + rule.bp_off * WORD;
	span = max(rule.kind == INDIRECT_BP ? at + WORD : w->site.sp, w->bp_at + WORD) - w->base;
	c->span = max_t(unsigned long, c->span, span);
	return STEPPED;
}

/*
 * By the rules, as far as there are any. Returns the number of frames, and in *site the last
 * of them if there are more. If there are none, the chain is remembered.
 */
static noinline unsigned int walk(struct chain *c, u32 tag, struct dod_site *site,
				  unsigned int depth, bool *more)
{
	struct walker w = { .site = *site, .base = site->sp - WORD, .fits = true };
	struct dod_site last = *site;
	unsigned int nr = 0;
	union rule rule;

	memset(c, 0, offsetof(struct chain, saved));
	*more = true;
	if (!find_bounds(site->sp, &w.stack) || site->sp % WORD)
		return 0;
	/* A return address that has a rule is in code, as the unwinder would check. */
	while (find_rule(w.site.ip, &rule)) {
		enum step stepped;
		struct walker hard;

		last = w.site;
		c->frames[nr] = dod_frame_pack(w.site.ip);
		c->at[nr++] = w.site.sp - WORD - w.base;
		if (nr == depth) {
			*more = false;
			break;
		}
		if (likely(step_simply(&w, c, rule)))
			continue;
		/* A copy, so that the other one is in registers. */
		hard = w;
		stepped = step_hard(&hard, c, rule);
		w = hard;
		*more = stepped != ENDED;
		if (stepped != STEPPED)
			break;
	}
	*site = last;
	c->nr = nr;
	c->span = max_t(unsigned long, c->span, last.sp - w.base);
	if (nr % 2) {
		c->at[nr] = c->at[nr - 1];
		c->frames[nr] = c->frames[nr - 1];
	}
	if (w.fits && nr && !*more)
		c->tag = tag;
	return nr;
}

/*
 * On the stack is another return address than that of frame @i, or the next. If its rule does the
 * same, as in a loop that is unrolled, so does all the rest. False if it may not.
 */
static noinline bool renew(struct chain *c, unsigned int i, unsigned long base,
			   struct dod_frame *frames)
{
	unsigned int end = i + 2;

	for (; i < end; i++) {
		unsigned long ip = *(unsigned long *)(base + c->at[i]);
		unsigned long was = dod_frame_ip(c->frames[i]);
		union rule rule, old;

		if (ip == was)
			continue;
		/* Frame 0: another user of ftrace has put its own there. */
		if (!i || !find_rule(ip, &rule) || !find_rule(was, &old) ||
		    (rule.word ^ old.word) >> 32)
			return false;
		c->frames[i] = dod_frame_pack(ip);
		frames[i] = c->frames[i];
	}
	return true;
}

/* The same, if it is remembered: then all of it is found on the stack again. */
static __always_inline bool recall(struct chain *c, u32 tag, const struct dod_site *caller,
				   struct dod_frame *frames)
{
	unsigned long base = caller->sp - WORD;
	unsigned int i = 0, nr = c->nr;
	struct pt_regs *regs;

	if (c->tag != tag || dod_frame_ip(c->frames[0]) != caller->ip ||
	    !is_within(base, c->span) || (c->bp && c->bp != caller->bp - base))
		return false;
	do {
		frames[i] = c->frames[i];
		frames[i + 1] = c->frames[i + 1];
		if (unlikely(*(unsigned long *)(base + c->at[i]) != dod_frame_ip(frames[i]) ||
			     *(unsigned long *)(base + c->at[i + 1]) !=
			     dod_frame_ip(frames[i + 1])) &&
		    !renew(c, i, base, frames))
			return false;
		i += 2;
	} while (i < nr);
	for (i = 0; i < c->nr_saved; i++)
		if (*(unsigned long *)(base + c->saved[i].at) != base + c->saved[i].value)
			return false;
	regs = (struct pt_regs *)(base + c->regs);
	return !c->regs || is_outermost(regs);
}

/* The rest, by the unwinder, which begins elsewhere on the same stack. */
static noinline unsigned int unwind(const struct dod_site *site, struct dod_frame *frames,
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
		frames[nr++] = dod_frame_pack(site->ip);
	for (;;) {
		unsigned long addr;

		from = state;
		unwind_next_frame(&state);
		learn(&from, &state);
		addr = unwind_get_return_address(&state);
		if (!addr || nr == depth)
			return nr;
		frames[nr++] = dod_frame_pack(addr);
	}
}

/* Interrupts are off, and are here restored. */
static noinline unsigned int save_anew(struct chain *c, const struct dod_site *caller,
				       struct dod_frame *frames, unsigned int depth,
				       unsigned long flags)
{
	struct dod_site site = *caller;
	/* Another user of ftrace may have put its own there. */
	bool more = READ_ONCE(((unsigned long *)site.sp)[-1]) == site.ip;
	unsigned int nr = 0;

	if (more) {
		nr = walk(c, READ_ONCE(generation) + depth, &site, depth, &more);
		memcpy(frames, c->frames, nr * sizeof(frames[0]));
	}
	raw_local_irq_restore(flags);
	if (!more)
		return nr;
	flags = dod_quiet_begin();
	nr = unwind(&site, frames, nr, depth);
	dod_quiet_end(flags);
	return nr;
}

/**
 * dod_orc_save() - dod_stack_save(), by rules
 * @caller: the caller, and its stack and frame pointer after the call
 * @frames: filled in: return addresses, from the caller outwards; has room for an even number
 * @depth: how many at most
 *
 * Return: how many there are, 0 if they cannot be had in this way.
 */
unsigned int dod_orc_save(const struct dod_site *caller, struct dod_frame *frames,
			  unsigned int depth)
{
	/* Calls of one function that come from elsewhere often have another depth. */
	u32 key = (u32)caller->ip ^ (caller->sp & (THREAD_SIZE - 1));
	unsigned long flags;
	struct chain *c;
	unsigned int nr;

	raw_local_irq_save(flags);
	c = &raw_cpu_ptr(chains)->chain[hash_32(key, CHAIN_BITS)];
	if (unlikely(!recall(c, READ_ONCE(generation) + depth, caller, frames)))
		return save_anew(c, caller, frames, depth, flags);
	nr = c->nr;
	raw_local_irq_restore(flags);
	return nr;
}

/* Before any code of a new module runs, and before memory of code that is gone is used again. */
static int on_module(struct notifier_block *nb, unsigned long state, void *mod)
{
	if (state != MODULE_STATE_UNFORMED)
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
	int err;

	chains = alloc_percpu(struct chains);
	if (!chains)
		return -ENOMEM;
	forget_rules();
	for (i = 0; i < NR_WORDS; i++)
		words[i] = (unsigned long)&words[i] + MARK;
	err = register_module_notifier(&module_nb);
	if (err)
		free_percpu(chains);
	return err;
}

/* After the last dod_orc_save(). */
void dod_orc_stop(void)
{
	unregister_module_notifier(&module_nb);
	free_percpu(chains);
}
