// SPDX-License-Identifier: GPL-2.0
/*
 * What the guest of scripts/soak --fleet cannot do with busybox. Built on the host,
 * static.
 *
 *	fleet-helper xdp IFACE drv|skb pass|tx|tail	until it is killed
 *	fleet-helper pageout MIB			swap out and in again
 *	fleet-helper crypto NAME REFERENCE		two ciphers agree
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_alg.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- XDP ---- */

static int sys_bpf(int cmd, union bpf_attr *attr)
{
	return syscall(__NR_bpf, cmd, attr, sizeof(*attr));
}

#define INSN(c, d, s, o, i) \
	((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), \
			    .off = (o), .imm = (i) })
#define LDX(size, d, s, o)	INSN(BPF_LDX | BPF_MEM | (size), d, s, o, 0)
#define STX(size, d, s, o)	INSN(BPF_STX | BPF_MEM | (size), d, s, o, 0)
#define ST(size, d, o, i)	INSN(BPF_ST | BPF_MEM | (size), d, 0, o, i)
#define MOV(d, s)		INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOVI(d, i)		INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ADDI(d, i)		INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define ANDI(d, i)		INSN(BPF_ALU64 | BPF_AND | BPF_K, d, 0, 0, i)
#define RSHI(d, i)		INSN(BPF_ALU64 | BPF_RSH | BPF_K, d, 0, 0, i)
#define ADD(d, s)		INSN(BPF_ALU64 | BPF_ADD | BPF_X, d, s, 0, 0)
#define BE16(d)			INSN(BPF_ALU | BPF_END | BPF_TO_BE, d, 0, 0, 16)
#define JGT(d, s, o)		INSN(BPF_JMP | BPF_JGT | BPF_X, d, s, o, 0)
#define JNEI(d, i, o)		INSN(BPF_JMP | BPF_JNE | BPF_K, d, 0, o, i)
#define JEQI(d, i, o)		INSN(BPF_JMP | BPF_JEQ | BPF_K, d, 0, o, i)
#define CALL(f)			INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define EXIT()			INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define MAP_FD(d, fd) \
	INSN(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_FD, 0, fd), \
	INSN(0, 0, 0, 0, 0)
#define ATOMIC_ADD(d, s)	INSN(BPF_STX | BPF_ATOMIC | BPF_DW, d, s, 0, BPF_ADD)

/* r6 = ctx; count the packet in the map's element. */
#define COUNT(fd) \
	MOV(6, 1), ST(BPF_W, 10, -4, 0), MOV(2, 10), ADDI(2, -4), MAP_FD(1, fd), \
	CALL(BPF_FUNC_map_lookup_elem), JEQI(0, 0, 2), MOVI(1, 1), ATOMIC_ADD(0, 1)

static int load_prog(struct bpf_insn *insns, unsigned int nr)
{
	static char log[65536];
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insns = (unsigned long)insns,
		.insn_cnt = nr,
		.license = (unsigned long)"GPL",
		.log_buf = (unsigned long)log,
		.log_size = sizeof(log),
		.log_level = 1,
	};
	int fd = sys_bpf(BPF_PROG_LOAD, &attr);

	if (fd < 0) {
		fprintf(stderr, "%s", log);
		die("BPF_PROG_LOAD");
	}
	return fd;
}

static int program(const char *name, int map)
{
	struct bpf_insn pass[] = { COUNT(map), MOVI(0, XDP_PASS), EXIT() };
	/*
	 * An echo request over IPv4 without options goes back as the reply: addresses
	 * exchanged, another type, and the checksum as much larger as the type got
	 * smaller. Fragments and all else pass.
	 */
	struct bpf_insn tx[] = {
		COUNT(map),
		LDX(BPF_W, 7, 6, offsetof(struct xdp_md, data)),
		LDX(BPF_W, 8, 6, offsetof(struct xdp_md, data_end)),
		MOV(1, 7), ADDI(1, 42), JGT(1, 8, 37),
		LDX(BPF_H, 1, 7, 12), BE16(1), JNEI(1, 0x0800, 34),
		LDX(BPF_B, 1, 7, 14), JNEI(1, 0x45, 32),
		LDX(BPF_H, 1, 7, 20), BE16(1), ANDI(1, 0x3fff), JNEI(1, 0, 28),
		LDX(BPF_B, 1, 7, 23), JNEI(1, 1, 26),
		LDX(BPF_B, 1, 7, 34), JNEI(1, 8, 24),
		/* Addresses of Ethernet, 6 bytes each, then of IP. */
		LDX(BPF_W, 1, 7, 0), LDX(BPF_H, 2, 7, 4),
		LDX(BPF_W, 3, 7, 6), LDX(BPF_H, 4, 7, 10),
		STX(BPF_W, 7, 3, 0), STX(BPF_H, 7, 4, 4),
		STX(BPF_W, 7, 1, 6), STX(BPF_H, 7, 2, 10),
		LDX(BPF_W, 1, 7, 26), LDX(BPF_W, 2, 7, 30),
		STX(BPF_W, 7, 2, 26), STX(BPF_W, 7, 1, 30),
		ST(BPF_B, 7, 34, 0),
		LDX(BPF_H, 1, 7, 36), BE16(1), ADDI(1, 0x0800),
		MOV(2, 1), RSHI(2, 16), ANDI(1, 0xffff), ADD(1, 2), BE16(1),
		STX(BPF_H, 7, 1, 36),
		MOVI(0, XDP_TX), EXIT(),
		/* The jumps go here. */
		MOVI(0, XDP_PASS), EXIT(),
	};
	/* 48 bytes more at the end, which the kernel clears, and 48 less again. */
	struct bpf_insn tail[] = {
		COUNT(map),
		MOV(1, 6), MOVI(2, 48), CALL(BPF_FUNC_xdp_adjust_tail),
		JNEI(0, 0, 3),
		MOV(1, 6), MOVI(2, -48), CALL(BPF_FUNC_xdp_adjust_tail),
		MOVI(0, XDP_PASS), EXIT(),
	};

	if (!strcmp(name, "pass"))
		return load_prog(pass, sizeof(pass) / sizeof(*pass));
	if (!strcmp(name, "tx"))
		return load_prog(tx, sizeof(tx) / sizeof(*tx));
	if (!strcmp(name, "tail"))
		return load_prog(tail, sizeof(tail) / sizeof(*tail));
	fprintf(stderr, "no program %s\n", name);
	exit(2);
}

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static int xdp(const char *iface, const char *mode, const char *name)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = 4,
		.value_size = 8,
		.max_entries = 1,
	};
	unsigned long long count = 0;
	unsigned int key = 0;
	int map, link;

	signal(SIGTERM, on_signal);
	map = sys_bpf(BPF_MAP_CREATE, &attr);
	if (map < 0)
		die("BPF_MAP_CREATE");
	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = program(name, map);
	attr.link_create.target_ifindex = if_nametoindex(iface);
	attr.link_create.attach_type = BPF_XDP;
	attr.link_create.flags = strcmp(mode, "drv") ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
	link = sys_bpf(BPF_LINK_CREATE, &attr);
	if (link < 0)
		die("BPF_LINK_CREATE");
	printf("attached\n");
	fflush(stdout);
	while (!stop)
		usleep(50000);
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = map;
	attr.key = (unsigned long)&key;
	attr.value = (unsigned long)&count;
	if (sys_bpf(BPF_MAP_LOOKUP_ELEM, &attr))
		die("BPF_MAP_LOOKUP_ELEM");
	printf("ran: %llu\n", count);
	return 0;
}

/* ---- swap ---- */

static unsigned long long pattern(size_t i)
{
	return (i + 1) * 0x9e3779b97f4a7c15ULL;
}

static size_t resident(unsigned char *vec, void *p, size_t len)
{
	size_t i, n = 0;

	if (mincore(p, len, vec))
		die("mincore");
	for (i = 0; i < len / 4096; i++)
		n += vec[i] & 1;
	return n;
}

static size_t mem_free(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	size_t kib = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemFree: %zu kB", &kib) == 1)
			break;
	if (!kib)
		die("/proc/meminfo");
	fclose(f);
	return kib << 10;
}

static void *reserve(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

/* Not all kernels have MADV_PAGEOUT. They all have others who need memory. */
static int pageout(size_t mib)
{
	size_t i, used, len = mib << 20, limit = mem_free() + len / 2, in = len / 4096;
	unsigned char *vec = malloc(len / 4096);
	unsigned long long *p = reserve(len);
	char *other = reserve(limit);

	if (!vec)
		die("malloc");
	for (i = 0; i < len / 8; i++)
		p[i] = pattern(i);
	for (used = 0; used < limit && in > len / 4096 / 4; used += 4096) {
		other[used] = 1;
		if (used % (4 << 20))
			continue;
		usleep(50000);
		in = resident(vec, p, len);
	}
	munmap(other, limit);
	for (i = 0; i < len / 8; i++) {
		if (p[i] != pattern(i)) {
			printf("byte %zu of %zu came back wrong\n", i * 8, len);
			return 1;
		}
	}
	printf("%zu of %zu pages went out and came back\n", len / 4096 - in, len / 4096);
	return in == len / 4096;
}

/* ---- ciphers ---- */

static int alg_open(const char *name)
{
	struct sockaddr_alg sa = { .salg_family = AF_ALG, .salg_type = "skcipher" };
	int s = socket(AF_ALG, SOCK_SEQPACKET, 0), fd;

	if (s < 0)
		die("AF_ALG");
	strncpy((char *)sa.salg_name, name, sizeof(sa.salg_name) - 1);
	if (bind(s, (struct sockaddr *)&sa, sizeof(sa)))
		die(name);
	if (setsockopt(s, SOL_ALG, ALG_SET_KEY, "sixteen byte key", 16))
		die("ALG_SET_KEY");
	fd = accept(s, NULL, 0);
	if (fd < 0)
		die("accept");
	close(s);
	return fd;
}

/* Starts an operation; its data come with the message, or later. */
static void crypt_start(int fd, unsigned int op, const void *in, size_t len, int flags)
{
	char control[CMSG_SPACE(4) + CMSG_SPACE(sizeof(struct af_alg_iv) + 16)] = { };
	struct iovec iov = { (void *)in, len };
	struct msghdr msg = {
		.msg_control = control,
		.msg_controllen = sizeof(control),
		.msg_iov = &iov,
		.msg_iovlen = len ? 1 : 0,
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	struct af_alg_iv *iv;

	c->cmsg_level = SOL_ALG;
	c->cmsg_type = ALG_SET_OP;
	c->cmsg_len = CMSG_LEN(4);
	memcpy(CMSG_DATA(c), &op, 4);
	c = CMSG_NXTHDR(&msg, c);
	c->cmsg_level = SOL_ALG;
	c->cmsg_type = ALG_SET_IV;
	c->cmsg_len = CMSG_LEN(sizeof(*iv) + 16);
	iv = (void *)CMSG_DATA(c);
	iv->ivlen = 16;
	memcpy(iv->iv, "an initial value", 16);
	if (sendmsg(fd, &msg, flags) != (ssize_t)len)
		die("sendmsg");
}

static void crypt_end(int fd, void *out, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, (char *)out + done, len - done);

		if (n <= 0)
			die("read of the result");
		done += n;
	}
}

static void crypt_buf(int fd, unsigned int op, const void *in, void *out, size_t len)
{
	crypt_start(fd, op, in, len, 0);
	crypt_end(fd, out, len);
}

/* The pages of the buffer themselves are read, and written with the result. */
static void crypt_in_place(int fd, unsigned int op, void *buf, size_t len)
{
	struct iovec iov = { buf, len };
	int p[2];

	if (pipe(p))
		die("pipe");
	crypt_start(fd, op, NULL, 0, MSG_MORE);
	if (vmsplice(p[1], &iov, 1, 0) != (ssize_t)len)
		die("vmsplice");
	if (splice(p[0], NULL, fd, NULL, len, 0) != (ssize_t)len)
		die("splice");
	crypt_end(fd, buf, len);
	close(p[0]);
	close(p[1]);
}

static int crypto(const char *name, const char *reference)
{
	static const size_t sizes[] = { 16, 32, 512, 4096, 4112, 16384, 32768 };
	static unsigned char in[32768], out[32768], want[32768], back[32768];
	static unsigned char place[32768] __attribute__((aligned(4096)));
	int fd = alg_open(name), ref = alg_open(reference);
	size_t i, n;

	for (i = 0; i < sizeof(in); i++)
		in[i] = pattern(i) >> 56;
	for (n = 0; n < 4 * sizeof(sizes) / sizeof(*sizes); n++) {
		size_t len = sizes[n / 4];

		crypt_buf(fd, ALG_OP_ENCRYPT, in, out, len);
		crypt_buf(ref, ALG_OP_ENCRYPT, in, want, len);
		crypt_buf(fd, ALG_OP_DECRYPT, out, back, len);
		if (memcmp(out, want, len) || memcmp(in, back, len)) {
			printf("%s and %s differ, %zu bytes\n", name, reference, len);
			return 1;
		}
		memcpy(place, in, len);
		crypt_in_place(fd, ALG_OP_ENCRYPT, place, len);
		if (memcmp(place, want, len)) {
			printf("%s and %s differ in place, %zu bytes\n", name, reference, len);
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "xdp"))
		return xdp(argv[2], argv[3], argv[4]);
	if (argc == 3 && !strcmp(argv[1], "pageout"))
		return pageout(atoi(argv[2]));
	if (argc == 4 && !strcmp(argv[1], "crypto"))
		return crypto(argv[2], argv[3]);
	fprintf(stderr, "see the source\n");
	return 2;
}
