/* Records and disturbs what this process does to the files of one directory; shim.py describes the journal. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { CREATE = 1, WRITE = 2, SYNC = 4, TRUNCATE = 8, UNLINK = 16, RENAME = 32, READ = 64, CHANGES = 63 };
enum { KILL = 1, FREEZE, FAIL, SHORT, DELAY };
#define MAX_FDS 4096
#define REAL(name)                      \
    static __typeof__(&name) real;      \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define LOCKED __attribute__((cleanup(unlock))) int locked = pthread_mutex_lock(&mutex)
#define CHECK(kind, fallback) do { if (disturb(kind)) return fallback; } while (0)

static pthread_mutex_t mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static char root[1024];
static int journal = -1, generation, tracked[MAX_FDS], frozen;
static ino_t inodes[MAX_FDS];
static int mask, mode, fault_errno;
static long first, last, count, hits, free_bytes = -1, clock_offset;

static void unlock(int *unused) { (void)unused; pthread_mutex_unlock(&mutex); }

static void record(const char *data, size_t size, const char *format, ...) {
    char line[2048];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    REAL(write);
    if (journal >= 0 && (real(journal, line, length) != length || (size && real(journal, data, size) != (ssize_t)size)))
        abort();
}

/* Count an operation; return whether it fails, with errno set. The caller holds the mutex. */
static int disturb(int kind) {
    if (frozen && kind != READ) { errno = EIO; return 1; }
    if (!(mask & kind) || ++count < first || count > last) return 0;
    hits++;
    if (mode == KILL) kill(getpid(), SIGKILL);
    if (mode == DELAY) { pthread_mutex_unlock(&mutex); usleep(fault_errno * 1000); pthread_mutex_lock(&mutex); }
    if (mode == FREEZE) { frozen = 1; errno = EIO; return 1; }
    if (mode == FAIL || (mode == SHORT && kind != WRITE)) { errno = fault_errno; return 1; }
    return 0;
}

static const char *below_root(const char *path) {
    size_t length = strlen(root);
    if (!length || strncmp(path, root, length)) return NULL;
    return path[length] == '/' ? path + length + 1 : path[length] ? NULL : ".";
}

/* A file descriptor of the present directory: 1; of an abandoned one, which must not change any more: -1. */
static int is_tracked(int fd) {
    if (fd < 0 || fd >= MAX_FDS || !tracked[fd]) return 0;
    return tracked[fd] == generation ? 1 : -1;
}

int shim_start(const char *directory, const char *journal_path) {
    LOCKED;
    REAL(open64);
    if (journal >= 0) close(journal);
    snprintf(root, sizeof root, "%s", directory);
    journal = *journal_path ? real(journal_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600) : -1;
    generation++;
    mask = frozen = 0;
    count = hits = 0;
    free_bytes = -1;
    return journal;
}

void shim_fault(int kinds, long from, long to, int what, int number) {
    LOCKED;
    mask = kinds; first = from; last = to; mode = what; fault_errno = number;
    count = hits = 0;
}

int shim_note(const char *text) {
    LOCKED;
    if (!frozen) record(NULL, 0, "N %s\n", text);
    return frozen;
}

long shim_count(void) { LOCKED; return count; }
long shim_hits(void) { LOCKED; return hits; }
int shim_frozen(void) { LOCKED; return frozen; }
void shim_free(long bytes) { LOCKED; free_bytes = bytes; }
void shim_clock(long seconds) { LOCKED; clock_offset = seconds; }

int open64(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t permissions = va_arg(arguments, mode_t);
    va_end(arguments);
    LOCKED;
    REAL(open64);
    const char *name = below_root(path);
    struct stat status;
    int is_new = name && (flags & O_CREAT) && lstat(path, &status);
    if (is_new) CHECK(CREATE, -1);
    if (name && (flags & O_TRUNC) && !is_new) CHECK(TRUNCATE, -1);
    int fd = real(path, flags, permissions);
    if (fd < 0 || fd >= MAX_FDS) return fd;
    tracked[fd] = 0;
    if (!name || fstat(fd, &status)) return fd;
    tracked[fd] = generation;
    inodes[fd] = status.st_ino;
    record(NULL, 0, "%c %lu %s\n", is_new ? 'C' : 'O', (long)status.st_ino, name);
    if ((flags & O_TRUNC) && !is_new) record(NULL, 0, "T %lu 0\n", (long)status.st_ino);
    return fd;
}
int open(const char *path, int flags, ...) __attribute__((alias("open64")));

int close(int fd) {
    LOCKED;
    REAL(close);
    if (fd >= 0 && fd < MAX_FDS) tracked[fd] = 0;
    return real(fd);
}

static ssize_t written(int fd, const void *data, off64_t offset, ssize_t size) {
    if (size > 0) record(data, size, "W %lu %ld %ld\n", (long)inodes[fd], (long)offset, (long)size);
    return size;
}

/* With SHORT, half of the bytes are written, as on a disk that fills up. */
static size_t shortened(size_t size) {
    return (mask & WRITE) && mode == SHORT && count >= first && count <= last && size > 1 ? size / 2 : size;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    LOCKED;
    REAL(pwrite64);
    if (is_tracked(fd) < 0) { errno = EIO; return -1; }
    if (!is_tracked(fd)) return real(fd, data, size, offset);
    CHECK(WRITE, -1);
    return written(fd, data, offset, real(fd, data, shortened(size), offset));
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) __attribute__((alias("pwrite64")));

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    if (!is_tracked(fd)) return real(fd, data, size);
    LOCKED;
    if (is_tracked(fd) < 0) { errno = EIO; return -1; }
    CHECK(WRITE, -1);
    off64_t offset = fcntl(fd, F_GETFL) & O_APPEND ? lseek64(fd, 0, SEEK_END) : lseek64(fd, 0, SEEK_CUR);
    return written(fd, data, offset, real(fd, data, shortened(size)));
}

ssize_t pread64(int fd, void *data, size_t size, off64_t offset) {
    LOCKED;
    REAL(pread64);
    if (is_tracked(fd) == 1) CHECK(READ, -1);
    return real(fd, data, size, offset);
}
ssize_t pread(int fd, void *data, size_t size, off_t offset) __attribute__((alias("pread64")));

ssize_t read(int fd, void *data, size_t size) {
    REAL(read);
    if (is_tracked(fd) == 1) { LOCKED; CHECK(READ, -1); }
    return real(fd, data, size);
}

#define SYNCING(name)                                                \
    int name(int fd) {                                               \
        LOCKED;                                                      \
        REAL(name);                                                  \
        if (is_tracked(fd) < 0) { errno = EIO; return -1; }          \
        if (!is_tracked(fd)) return real(fd);                        \
        CHECK(SYNC, -1);                                             \
        record(NULL, 0, "S %lu\n", (long)inodes[fd]);                \
        return 0; /* The journal decides what is durable: a real sync would only take time. */ \
    }
SYNCING(fsync)
SYNCING(fdatasync)

int ftruncate64(int fd, off64_t size) {
    LOCKED;
    REAL(ftruncate64);
    if (is_tracked(fd) < 0) { errno = EIO; return -1; }
    if (!is_tracked(fd)) return real(fd, size);
    CHECK(TRUNCATE, -1);
    record(NULL, 0, "T %lu %ld\n", (long)inodes[fd], (long)size);
    return real(fd, size);
}
int ftruncate(int fd, off_t size) __attribute__((alias("ftruncate64")));

int unlink(const char *path) {
    LOCKED;
    REAL(unlink);
    const char *name = below_root(path);
    if (!name) return real(path);
    CHECK(UNLINK, -1);
    int status = real(path);
    if (!status) record(NULL, 0, "U %s\n", name);
    return status;
}

int rename(const char *old, const char *new) {
    LOCKED;
    REAL(rename);
    const char *from = below_root(old), *to = below_root(new);
    if (!from || !to) return real(old, new);
    CHECK(RENAME, -1);
    int status = real(old, new);
    if (!status) record(NULL, 0, "R %s %s\n", from, to);
    return status;
}

int statvfs64(const char *restrict path, struct statvfs64 *restrict status) {
    LOCKED;
    REAL(statvfs64);
    int failed = real(path, status);
    if (!failed && free_bytes >= 0) status->f_bavail = status->f_bfree = free_bytes / status->f_frsize;
    return failed;
}

int fstatvfs64(int fd, struct statvfs64 *status) {
    LOCKED;
    REAL(fstatvfs64);
    int failed = real(fd, status);
    if (!failed && free_bytes >= 0) status->f_bavail = status->f_bfree = free_bytes / status->f_frsize;
    return failed;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(clock_gettime);
    int failed = real(clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec += clock_offset;
    return failed;
}
