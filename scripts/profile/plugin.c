// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin of QEMU for scripts/bench: how often each instruction of the guest's kernel was
 * executed between two marks (tools/mark.h). For each such section, FILE has
 *
 *	ADDRESS COUNT		of each that was, in hexadecimal and decimal
 *	user COUNT		of all of user space
 *	end
 *
 * Usage: qemu -plugin plugin.so,out=FILE -smp 1
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu-plugin.h"

int qemu_plugin_version = 1;

static const struct mark {
	const char *target;
	size_t size;
	unsigned char begin[8], end[8];
} marks[] = {
	{ "x86_64", 7, { 0x0f, 0x1f, 0x80, 0x01, 0x44, 0x4f, 0x44 },
		       { 0x0f, 0x1f, 0x80, 0x02, 0x44, 0x4f, 0x44 } },
	{ "aarch64", 4, { 0x3f, 0x2e, 0x03, 0xd5 }, { 0x5f, 0x2e, 0x03, 0xd5 } },
};

static const struct mark *mark;
static FILE *out;

/*
 * A table hashed by address. Translated code has pointers to the counts: an entry stays where
 * it is. All that is executed of a kernel is a fraction of this.
 */
#define BITS	22
#define ENTRIES	(1u << BITS)

static struct entry {
	uint64_t address, count;
} *table;
static struct entry **used;
static size_t nr_used;
static uint64_t user;

static uint64_t *count_of(uint64_t address)
{
	uint64_t hash = (address * 0x9e3779b97f4a7c15) >> (64 - BITS);

	/* The kernel's addresses are the upper half. */
	if (!(address >> 63))
		return &user;
	while (table[hash].address && table[hash].address != address)
		hash = (hash + 1) % ENTRIES;
	if (!table[hash].address) {
		if (nr_used > ENTRIES / 2) {
			fprintf(stderr, "plugin: too many instructions\n");
			exit(1);
		}
		table[hash].address = address;
		used[nr_used++] = &table[hash];
	}
	return &table[hash].count;
}

static void begin(unsigned int vcpu, void *data)
{
	for (size_t i = 0; i < nr_used; i++)
		used[i]->count = 0;
	user = 0;
}

static void end(unsigned int vcpu, void *data)
{
	for (size_t i = 0; i < nr_used; i++)
		if (used[i]->count)
			fprintf(out, "%" PRIx64 " %" PRIu64 "\n", used[i]->address, used[i]->count);
	fprintf(out, "user %" PRIu64 "\nend\n", user);
}

static bool is_mark(const struct qemu_plugin_insn *insn, const void *bytes)
{
	return qemu_plugin_insn_size(insn) == mark->size &&
	       !memcmp(qemu_plugin_insn_data(insn), bytes, mark->size);
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t *count = count_of(qemu_plugin_insn_vaddr(insn));
		void (*cb)(unsigned int vcpu, void *data) = NULL;

		if (is_mark(insn, mark->begin))
			cb = begin;
		else if (is_mark(insn, mark->end))
			cb = end;
		if (cb)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, cb, QEMU_PLUGIN_CB_NO_REGS, NULL);
		qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64, count, 1);
	}
}

static void finish(qemu_plugin_id_t id, void *data)
{
	fclose(out);
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (!strcmp(info->target_name, marks[i].target))
			mark = &marks[i];
	if (!mark || argc != 1 || strncmp(argv[0], "out=", 4))
		return -1;
	out = fopen(argv[0] + 4, "w");
	table = calloc(ENTRIES, sizeof(*table));
	used = calloc(ENTRIES, sizeof(*used));
	if (!out || !table || !used)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
	qemu_plugin_register_atexit_cb(id, finish, NULL);
	return 0;
}
