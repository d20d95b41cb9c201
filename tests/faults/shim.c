/* Between the binary and libc, in tests only: writes and fsyncs that fail on demand, and a clock that is elsewhere.
 *
 * The test and every process that loads this share a file, named by FAULTS_CONTROL, of eight 64-bit numbers:
 *   0  writes to files of the journal that are to fail      1  their errno
 *   2  fsyncs of files of the journal that are to fail      3  their errno
 *   4  seconds that the clock of the day is off
 *   5  writes that have failed                              6  fsyncs that have failed
 *   7  fdatasyncs of a file of which one has failed before
 * A negative number of calls stands for all of them. A write that fails has written half before.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WRITES, WRITE_ERRNO, SYNCS, SYNC_ERRNO, CLOCK, FAILED_WRITES, FAILED_SYNCS, SYNCED_AGAIN, NUMBERS };

static volatile int64_t none[NUMBERS];
static volatile int64_t *control = none;

/* The inode of the last file of which a sync failed; a test has one at a time. */
static volatile ino_t failed_inode;

__attribute__((constructor)) static void load(void) {
    const char *path = getenv("FAULTS_CONTROL");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *shared = mmap(NULL, NUMBERS * sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared != MAP_FAILED)
        control = shared;
}

static int is_segment(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return strstr(path, "/segment-") != NULL;
}

/* Whether a call of this kind is to fail: takes one off those that are left. */
static int fails(int kind, int fd) {
    if (control[kind] == 0 || !is_segment(fd))
        return 0;
    if (control[kind] > 0)
        __sync_fetch_and_sub(&control[kind], 1);
    return 1;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real)
        real = dlsym(RTLD_NEXT, "write");
    if (!fails(WRITES, fd))
        return real(fd, bytes, length);
    if (length > 1)
        real(fd, bytes, length / 2);
    __sync_fetch_and_add(&control[FAILED_WRITES], 1);
    errno = (int)control[WRITE_ERRNO];
    return -1;
}

static int synced(int (*real)(int), int fd, int counts) {
    struct stat status;
    int known = fstat(fd, &status) == 0;
    if (counts && known && failed_inode != 0 && status.st_ino == failed_inode)
        __sync_fetch_and_add(&control[SYNCED_AGAIN], 1);
    if (!fails(SYNCS, fd))
        return real(fd);
    if (known)
        failed_inode = status.st_ino;
    __sync_fetch_and_add(&control[FAILED_SYNCS], 1);
    errno = (int)control[SYNC_ERRNO];
    return -1;
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real)
        real = dlsym(RTLD_NEXT, "fdatasync");
    return synced(real, fd, 1);
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real)
        real = dlsym(RTLD_NEXT, "fsync");
    return synced(real, fd, 0);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    if (result == 0 && clock == CLOCK_REALTIME)
        time->tv_sec += (time_t)control[CLOCK];
    return result;
}
