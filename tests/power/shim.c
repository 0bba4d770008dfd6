/* Records what a process does to a database and says on its sockets, in one order, for `power_cut.py`.
 *
 * Preloaded, it stands between a program and the C library. POWER_CUT_DATABASE is the database's absolute path, POWER_CUT_LOG the file that it writes.
 * Watched are the folder of the database, and every file in it whose name begins with the database's. The -shm file is left out: SQLite maps it into
 * memory, and makes it anew from the -wal file after a crash.
 *
 * The order of the log is the order in which things were sure or begun, whichever is the worse for the program:
 *   - a write is recorded after it, and a sync before it (S) and after it (D): what is written while a sync runs may be missed by it;
 *   - what goes to a socket is recorded before it is sent; where the kernel takes less, a record of how much (N) follows.
 * A record is one writev to a file opened with O_APPEND, so threads need no lock, and none waits for another's sync.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILES_MAX = 65536, PARTS_MAX = 1024 };

struct head { /* "=cxxxIiIq" in power_cut.py */
    char what;
    uint32_t thread;
    int32_t fd;
    uint32_t length; /* of the data that follows */
    int64_t at;
};

static int log_fd = -1;
static char database[PATH_MAX], folder[PATH_MAX];
static size_t database_length;
static volatile unsigned char watched[FILES_MAX];

__attribute__((constructor)) static void start(void) {
    const char *log = getenv("POWER_CUT_LOG"), *path = getenv("POWER_CUT_DATABASE");
    if (!log || !path || !strrchr(path, '/') || strlen(path) >= sizeof database) return;
    strcpy(database, path);
    strcpy(folder, path);
    *strrchr(folder, '/') = 0;
    database_length = strlen(path);
    log_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void record_parts(char what, int fd, int64_t at, const struct iovec *parts, int count) {
    struct iovec out[PARTS_MAX + 1];
    struct head head = {what, (uint32_t)syscall(SYS_gettid), fd, 0, at};
    int saved = errno;
    if (log_fd < 0) return;
    if (count > PARTS_MAX) abort();
    for (int i = 0; i < count; i++) {
        out[i + 1] = parts[i];
        head.length += parts[i].iov_len;
    }
    out[0] = (struct iovec){&head, sizeof head};
    /* Half a log proves nothing. */
    if (syscall(SYS_writev, log_fd, out, count + 1) != (long)(sizeof head + head.length)) abort();
    errno = saved;
}

static void record(char what, int fd, int64_t at, const void *data, size_t length) {
    struct iovec part = {(void *)data, length};
    record_parts(what, fd, at, &part, 1);
}

/* --- files ------------------------------------------------------------------------------------------------------------------ */

static int is_watched(int fd) { return log_fd >= 0 && fd >= 0 && fd < FILES_MAX && watched[fd]; }

static int is_ours(const char *path) {
    size_t length = strlen(path);
    if (log_fd < 0) return 0;
    if (strcmp(path, folder) == 0) return 1;
    return strncmp(path, database, database_length) == 0 && !(length > 4 && strcmp(path + length - 4, "-shm") == 0);
}

static int open_recorded(int at, const char *path, int flags, mode_t mode) {
    int fd = syscall(SYS_openat, at, path, flags, mode);
    if (fd >= 0 && fd < FILES_MAX && is_ours(path)) {
        watched[fd] = 1;
        record('O', fd, flags & (O_CREAT | O_TRUNC) ? 1 + !!(flags & O_TRUNC) : 0, path, strlen(path));
    }
    return fd;
}

#define OPEN(name, parameter, folder_fd) \
    int name(parameter const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        return open_recorded(folder_fd, path, flags, mode); \
    }
#define NO_FOLDER
#define IN_FOLDER int at,
OPEN(open, NO_FOLDER, AT_FDCWD)
OPEN(open64, NO_FOLDER, AT_FDCWD)
OPEN(openat, IN_FOLDER, at)
OPEN(openat64, IN_FOLDER, at)

int close(int fd) {
    if (is_watched(fd)) {
        watched[fd] = 0;
        record('C', fd, 0, NULL, 0);
    }
    return syscall(SYS_close, fd);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t at) {
    ssize_t done = syscall(SYS_pwrite64, fd, data, length, at);
    if (done > 0 && is_watched(fd)) record('W', fd, at, data, done);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t at) { return pwrite64(fd, data, length, at); }

int ftruncate64(int fd, off64_t length) {
    int failed = syscall(SYS_ftruncate, fd, length);
    if (!failed && is_watched(fd)) record('T', fd, length, NULL, 0);
    return failed;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int sync_recorded(long number, int fd) {
    int ours = is_watched(fd);
    if (ours) record('S', fd, 0, NULL, 0);
    int failed = syscall(number, fd);
    if (ours && !failed) record('D', fd, 0, NULL, 0);
    return failed;
}

int fsync(int fd) { return sync_recorded(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_recorded(SYS_fdatasync, fd); }

int unlink(const char *path) {
    int failed = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (!failed && is_ours(path)) record('U', -1, 0, path, strlen(path));
    return failed;
}

/* --- sockets, and files written where they stand ------------------------------------------------------------------------------ */

/* The number of a socket, which no later one has again; 0 where it is none. */
static int64_t socket_number(int fd) {
    struct stat about;
    int saved = errno;
    int64_t number = log_fd >= 0 && fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode) ? (int64_t)about.st_ino : 0;
    errno = saved;
    return number;
}

static size_t total(const struct iovec *parts, int count) {
    size_t length = 0;
    for (int i = 0; i < count; i++) length += parts[i].iov_len;
    return length;
}

static ssize_t said(int fd, int64_t number, size_t length, ssize_t taken) {
    if (number && taken < (ssize_t)length) record('N', fd, taken < 0 ? 0 : taken, NULL, 0);
    return taken;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    int64_t number = is_watched(fd) ? 0 : socket_number(fd);
    if (number) record_parts('M', fd, number, parts, count);
    ssize_t done = said(fd, number, total(parts, count), syscall(SYS_writev, fd, parts, count));
    if (done > 0 && is_watched(fd)) {
        int64_t at = syscall(SYS_lseek, fd, 0, SEEK_CUR) - done;
        for (size_t left = done; left > 0; parts++) {
            size_t length = parts->iov_len < left ? parts->iov_len : left;
            record('W', fd, at, parts->iov_base, length);
            at += length;
            left -= length;
        }
    }
    return done;
}

ssize_t write(int fd, const void *data, size_t length) {
    struct iovec part = {(void *)data, length};
    return writev(fd, &part, 1);
}

ssize_t sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *to, socklen_t size) {
    int64_t number = socket_number(fd);
    if (number) record('M', fd, number, data, length);
    return said(fd, number, length, syscall(SYS_sendto, fd, data, length, flags, to, size));
}

ssize_t send(int fd, const void *data, size_t length, int flags) { return sendto(fd, data, length, flags, NULL, 0); }

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    int64_t number = socket_number(fd);
    if (number) record_parts('M', fd, number, message->msg_iov, message->msg_iovlen);
    return said(fd, number, total(message->msg_iov, message->msg_iovlen), syscall(SYS_sendmsg, fd, message, flags));
}
