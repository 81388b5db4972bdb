// SPDX-License-Identifier: GPL-2.0
/*
 * The file reports, which lists each fault once, and who may read the files at all.
 */

#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "kt.h"

#define TEXT	8192

#define HEADER	"# type\ttitle\tdriver\tdevice\tcount\tprinted\tfirst\tlast\n"

static kt_noinline dma_addr_t map_freed(struct kunit *test, struct device *dev, u8 *buf)
{
	return test_dma_map(test, dev, buf, 64, DMA_TO_DEVICE);
}

/* A fault that every kernel finds: the memory is freed while it is mapped. */
static kt_noinline void fault(struct kunit *test, struct device *dev)
{
	u8 *buf = kt_own_buf(test, 64);
	dma_addr_t dma = map_freed(test, dev, buf);

	test_kfree(buf);
	dma_unmap_single(dev, dma, 64, DMA_TO_DEVICE);
}

static kt_noinline void other_fault(struct kunit *test)
{
	u8 *buf = kt_own_buf(test, 64);
	dma_addr_t dma = test_dma_map(test, kt_dev, buf, 64, DMA_FROM_DEVICE);

	kfree(buf);
	dma_unmap_single(kt_dev, dma, 64, DMA_FROM_DEVICE);
}

static unsigned int nr_lines(const char *text)
{
	unsigned int nr = 0;

	for (; (text = strchr(text, '\n')); text++)
		nr++;
	return nr;
}

static const char *read_reports(struct kunit *test)
{
	char *buf = kunit_kzalloc(test, TEXT, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	dma_owner_debug_reports(buf, TEXT);
	KUNIT_EXPECT_TRUE_MSG(test, strstarts(buf, HEADER), "header: %s", buf);
	return buf;
}

static void expect_counts(struct kunit *test, const char *text, unsigned int count,
			  unsigned int printed)
{
	char want[80];

	snprintf(want, sizeof(want), "\t" KT_NAME "\t" KT_NAME ".0\t%u\t%u\t", count, printed);
	KUNIT_EXPECT_TRUE_MSG(test, strstr(text, want), "no '%s' in: %s", want, text);
}

#define TYPE "free-while-mapped"

static void fault_listed_once(struct kunit *test)
{
	unsigned long long first, last;
	const char *text, *times;
	unsigned int us[2];
	int i, n;

	kt_set(test, "dedup", "1");
	kt_set(test, "report_burst", "0");
	dma_owner_debug_reports(NULL, 0);
	KUNIT_EXPECT_STREQ(test, read_reports(test), HEADER);
	for (i = 0; i < 3; i++)
		fault(test, kt_dev);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	text = read_reports(test);
	KUNIT_EXPECT_EQ(test, nr_lines(text), 2);
	KUNIT_EXPECT_TRUE_MSG(test, strstr(text, "\n" TYPE "\t" TYPE " in test_kfree+"), "%s", text);
	expect_counts(test, text, 3, 1);
	/* The columns after @printed. */
	times = strstr(text, "\t3\t1\t");
	KUNIT_ASSERT_NOT_NULL(test, times);
	n = sscanf(times + 5, "%llu.%u %llu.%u", &first, &us[0], &last, &us[1]);
	KUNIT_ASSERT_EQ(test, n, 4);
	KUNIT_EXPECT_LE(test, first * 1000000 + us[0], last * 1000000 + us[1]);

	/* What is the same to dedup is the same here, on another device, too. */
	fault(test, kt_dev2);
	expect_counts(test, read_reports(test), 4, 1);
	other_fault(test);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	text = read_reports(test);
	KUNIT_EXPECT_EQ(test, nr_lines(text), 3);
	expect_counts(test, text, 4, 1);
	expect_counts(test, text, 1, 1);

	/* Forgotten is forgotten: it is printed again, too. */
	dma_owner_debug_reports(NULL, 0);
	KUNIT_EXPECT_STREQ(test, read_reports(test), HEADER);
	fault(test, kt_dev);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	expect_counts(test, read_reports(test), 1, 1);
	dma_owner_debug_reports(NULL, 0);
}

static void unprinted_fault_listed(struct kunit *test)
{
	kt_set(test, "report_burst", "1");
	dma_owner_debug_reports(NULL, 0);
	fault(test, kt_dev);
	fault(test, kt_dev);
	other_fault(test);
	KUNIT_EXPECT_EQ(test, kt_take_all(), 1);
	expect_counts(test, read_reports(test), 2, 1);
	expect_counts(test, read_reports(test), 1, 0);
	dma_owner_debug_reports(NULL, 0);
}

static void filtered_fault_not_listed(struct kunit *test)
{
	dma_owner_debug_reports(NULL, 0);
	kt_set(test, "off_types", TYPE);
	fault(test, kt_dev);
	EXPECT_SILENCE(test);
	KUNIT_EXPECT_STREQ(test, read_reports(test), HEADER);
	kt_set(test, "off_types", "");
}

/* === Modes ================================================================ */

static void files_are_roots(struct kunit *test)
{
	static const struct {
		const char *name;
		umode_t mode;
	} files[] = {
		{ "stats", 0400 }, { "mappings", 0400 }, { "devices", 0400 }, { "exposure", 0400 },
		{ "lookup", 0600 }, { "reports", 0600 },
	};
	struct dentry *dir = debugfs_lookup("dma_owner_debug", NULL), *file;
	unsigned int i;

	if (!dir)
		kunit_skip(test, "no debugfs");
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		file = debugfs_lookup(files[i].name, dir);
		KUNIT_EXPECT_TRUE_MSG(test, !!file, "no %s", files[i].name);
		if (file)
			KUNIT_EXPECT_EQ_MSG(test, d_inode(file)->i_mode & 07777, files[i].mode,
					    "%s", files[i].name);
		dput(file);
	}
	dput(dir);
}

static struct kunit_case faults_cases[] = {
	KUNIT_CASE(fault_listed_once),
	KUNIT_CASE(unprinted_fault_listed),
	KUNIT_CASE(filtered_fault_not_listed),
	KUNIT_CASE(files_are_roots),
	{}
};

KT_SUITE(faults);
