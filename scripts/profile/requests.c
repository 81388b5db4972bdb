// SPDX-License-Identifier: GPL-2.0
/*
 * What scripts/bench counts the instructions of. Built on the host, static. Each request is
 * between marks of its own, see plugin.c.
 *
 *	requests read|write SIZE COUNT DISK		past the page cache
 *	requests receive SIZE COUNT ADDRESS PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../tools/mark.h"

static void die(const char *what)
{
	fprintf(stderr, "requests: %s: %s\n", what, strerror(errno));
	exit(1);
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

	if (argc < 5)
		return 2;
	size = atol(argv[2]);
	count = atol(argv[3]);
	buf = aligned_alloc(4096, size);
	if (!buf)
		die("memory");
	memset(buf, 0x5a, size);
	fd = argc > 5 ? connect_to(argv[4], atoi(argv[5])) : open_disk(argv[4]);
	for (size_t i = 0; i < count; i++) {
		MARK_BEGIN();
		if (!strcmp(argv[1], "read"))
			done = pread(fd, buf, size, i * size);
		else if (!strcmp(argv[1], "write"))
			done = pwrite(fd, buf, size, i * size);
		else
			done = receive(fd, buf, size);
		MARK_END();
		if (done != (ssize_t)size)
			die(argv[1]);
	}
	return 0;
}
