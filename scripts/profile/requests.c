// SPDX-License-Identifier: GPL-2.0
/*
 * What scripts/bench counts the instructions of. Built on the host, static. Each request is
 * between marks of its own, see plugin.c.
 *
 *	requests read|write SIZE COUNT piece|pages MEMORY DISK	past the page cache
 *	requests receive SIZE COUNT ADDRESS PORT
 *
 * MEMORY is a file of tmpfs, and long: its first pages are what others have left, here and
 * there, but then comes one after the other. What a disk moves is a piece of its last MiB,
 * or every second page there. Each run has the same: with memory as it happens to be
 * allocated, the lists would be longer in one than in the next.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../tools/mark.h"

static void die(const char *what)
{
	fprintf(stderr, "requests: %s: %s\n", what, strerror(errno));
	exit(1);
}

#define PAGE 4096UL

/* get_buffer() - of one piece, or pages, of that file; any memory if it is NULL. */
static char *get_buffer(size_t size, bool piece, const char *file)
{
	int fd = file ? open(file, O_RDWR) : -1;
	off_t from = file ? lseek(fd, 0, SEEK_END) - (1 << 20) : 0;
	char *buf = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | (file ? 0 : MAP_ANONYMOUS), fd, from);

	for (size_t i = 0; buf != MAP_FAILED && !piece && i < size; i += PAGE)
		if (mmap(buf + i, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			 from + 2 * i) == MAP_FAILED)
			buf = MAP_FAILED;
	if (buf == MAP_FAILED)
		die(file ? file : "mmap");
	return buf;
}

static int open_disk(const char *path)
{
	int fd = open(path, O_RDWR | O_DIRECT);

	if (fd < 0)
		die(path);
	return fd;
}

static int connect_to(const char *address, int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1 ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)))
		die(address);
	return fd;
}

/* A MiB does not come at once. */
static ssize_t receive(int fd, char *buf, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, buf, size - done < 65536 ? size - done : 65536);

		if (n <= 0)
			return n;
		done += n;
	}
	return done;
}

int main(int argc, char **argv)
{
	size_t size, count;
	ssize_t done;
	int fd;
	char *buf;

	if (argc < 6)
		return 2;
	size = atol(argv[2]);
	count = atol(argv[3]);
	if (!strcmp(argv[1], "receive")) {
		buf = get_buffer(size, true, NULL);
		fd = connect_to(argv[4], atoi(argv[5]));
	} else {
		buf = get_buffer(size, !strcmp(argv[4], "piece"), argv[5]);
		fd = open_disk(argv[6]);
	}
	for (size_t i = 0; i < count; i++) {
		mark_begin();
		if (!strcmp(argv[1], "read"))
			done = pread(fd, buf, size, i * size);
		else if (!strcmp(argv[1], "write"))
			done = pwrite(fd, buf, size, i * size);
		else
			done = receive(fd, buf, size);
		mark_end();
		if (done != (ssize_t)size)
			die(argv[1]);
	}
	return 0;
}
